//! The server itself.

use portcullis_proto::admin::v1::{GatewayCounts, StatusRequest, StatusResponse, TlsFile};
use portcullis_tls::Expiry;

use super::context::Context;
use super::convert::millis;
use super::error::AdminError;
use super::request::{About, Front, Method, Request, read};
use crate::config::Capability;
use crate::fleet::Counts;
use crate::repository::Scheme;
use crate::services::Services;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<StatusRequest>();
}

impl Request for StatusRequest {
    type Answer = StatusResponse;

    /// Whoever has a capability sees it.
    const METHOD: Method = read("System/Status", &Capability::ALL);

    fn about(&self) -> About {
        About::anything()
    }

    async fn run(self, context: &Context) -> Result<StatusResponse, AdminError> {
        let Context {
            services, caller, ..
        } = context;
        let audit = services.audit.ready().await;
        let gateways = GatewayCounts::from(services.fleet.counts().await?);
        let current = services.repository.gateway_keys().current().await?;
        let calls = services.repository.queued_calls().counts().await?;
        let protection = services.repository.database().protection().find().await?;
        let public = protection.is_some_and(|row| row.scheme == Scheme::Default);
        let configuration = services.live.loaded();
        Ok(StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server_id: services.server_id.to_string(),
            started_unix_ms: millis(services.started),
            gateways_registered: gateways.registered,
            gateways_connected: gateways.up,
            gateways: Some(gateways),
            current_gateway_key_id: current.map(|id| id.to_string()).unwrap_or_default(),
            dial_out_listen: services
                .fleet
                .dial_out_address()
                .map(|address| address.to_string())
                .unwrap_or_default(),
            audit_error: audit
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default(),
            changed_records: services.repository.database().changed_records(),
            caller: caller.subject.to_string(),
            capabilities: caller.held().iter().map(|held| held.to_string()).collect(),
            calls_waiting: calls.waiting,
            calls_dispatched: calls.dispatched + calls.unknown,
            calls_indeterminate: calls.indeterminate,
            failed_tasks: failed_tasks(services).await?,
            protection: if public { "default" } else { "pbe" }.to_owned(),
            configuration_read_unix_ms: millis(configuration.at),
            configuration_error: configuration.error.unwrap_or_default(),
            configuration_warnings: configuration.warnings,
            needs_restart: configuration
                .needs_restart
                .into_iter()
                .map(str::to_owned)
                .collect(),
            forward_faults: services
                .places
                .iter()
                .filter_map(|place| Some(format!("{}: {}", place.name, place.fault()?)))
                .collect(),
            tls_files: services
                .fleet
                .tls()
                .expiries()
                .into_iter()
                .map(tls_file)
                .collect(),
        })
    }
}

fn tls_file(expiry: Expiry) -> TlsFile {
    TlsFile {
        what: expiry.what.to_owned(),
        path: expiry.path.display().to_string(),
        valid_until_unix_ms: millis(expiry.until),
    }
}

/// As the list of gateways counts them.
impl From<Counts> for GatewayCounts {
    fn from(counts: Counts) -> Self {
        Self {
            registered: counts.registered,
            up: counts.up,
            down: counts.down,
            never_enrolled: counts.never_enrolled,
            shut_out: counts.shut_out,
            behind: counts.behind,
            ahead: counts.ahead,
            with_alarms: counts.with_alarms,
            alarms: counts.alarms,
        }
    }
}

/// Those that failed and were not followed by another of their kind.
async fn failed_tasks(services: &Services) -> Result<Vec<String>, AdminError> {
    let failed = services.tasks.failed().await?;
    let told = failed.into_iter().map(|task| {
        let reason = task.reason.unwrap_or_default();
        format!("task {} ({}): {reason}", task.id, task.kind)
    });
    Ok(told.collect())
}
