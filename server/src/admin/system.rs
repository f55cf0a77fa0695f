//! The server itself.

use std::collections::HashSet;

use portcullis_common::rotation::Standing;
use portcullis_proto::admin::v1::{GatewayCounts, StatusRequest, StatusResponse};

use super::context::Context;
use super::convert::millis;
use super::error::AdminError;
use super::request::{About, Front, Method, Request, read};
use crate::config::Capability;
use crate::repository::{Holding, QueuedState, Scheme, TaskState};
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
        let gateways = gateway_counts(services).await?;
        let current = services.repository.gateway_keys().current().await?;
        let calls = services.repository.queued_calls();
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
            calls_waiting: calls.count(QueuedState::Waiting).await?,
            calls_dispatched: calls.count(QueuedState::Dispatched).await?
                + calls.count(QueuedState::Unknown).await?,
            calls_indeterminate: calls.count(QueuedState::Indeterminate).await?,
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
        })
    }
}

/// As [`super::gateway_list`] counts them, without opening a single secret.
async fn gateway_counts(services: &Services) -> Result<GatewayCounts, AdminError> {
    let gateways = services.repository.gateways();
    let holdings = gateways.holdings().await?;
    let alarms = gateways.open_alarms().await?;
    let connected = services.fleet.connected();
    let outlooks = services.fleet.outlooks();
    let mut counts = GatewayCounts::default();
    for holding in &holdings.gateways {
        let name = &holding.gateway;
        let up = connected.contains(name);
        let ahead = outlooks.get(name).is_some_and(|outlook| outlook.ahead);
        let enrolled = Holding::is_enrolled(holding);
        let synchronized = holding.registration.synchronized(&holdings.keys);
        let admitted = holding.registration.standing == Standing::Admitted;
        let changed = holding.record_changed;
        for (place, one) in [
            (&mut counts.registered, true),
            (&mut counts.up, up),
            (&mut counts.down, enrolled && !up),
            (&mut counts.never_enrolled, admitted && !enrolled),
            (&mut counts.shut_out, !admitted && !changed),
            (&mut counts.behind, enrolled && !synchronized && !ahead),
            (&mut counts.ahead, ahead),
            (
                &mut counts.with_alarms,
                changed || alarms.contains_key(name),
            ),
            // That its record was changed is an alarm which stands nowhere.
            (&mut counts.alarms, changed),
        ] {
            *place += u32::from(one);
        }
    }
    counts.alarms = alarms
        .values()
        .fold(counts.alarms, |sum, one| sum.saturating_add(*one));
    Ok(counts)
}

/// Those that failed and were not followed by another of their kind.
async fn failed_tasks(services: &Services) -> Result<Vec<String>, AdminError> {
    let tasks = services.repository.database().tasks().list().await?;
    let mut seen = HashSet::new();
    let last = tasks
        .into_iter()
        .filter(|task| seen.insert(task.kind.clone()));
    let failed = last.filter(|task| task.state == TaskState::Failed);
    let told = failed.map(|task| {
        let reason = task.reason.unwrap_or_default();
        format!("task {} ({}): {reason}", task.id, task.kind)
    });
    Ok(told.collect())
}
