//! The server itself.

use portcullis_proto::admin::v1::{StatusRequest, StatusResponse};

use super::context::Context;
use super::convert::millis;
use super::error::AdminError;
use super::request::{About, Front, Method, Request, read};
use crate::config::Capability;

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
        let registered = services.repository.gateways().count().await?;
        let audit = services.audit.ready().await;
        let current = services.repository.gateway_keys().current().await?;
        Ok(StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server_id: services.server_id.to_string(),
            started_unix_ms: millis(services.started),
            gateways_registered: u32::try_from(registered).unwrap_or(u32::MAX),
            gateways_connected: u32::try_from(services.fleet.count()).unwrap_or(u32::MAX),
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
            caller: caller.subject.to_string(),
            capabilities: caller.held().iter().map(|held| held.to_string()).collect(),
        })
    }
}
