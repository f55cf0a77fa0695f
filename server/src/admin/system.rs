//! The server itself.

use portcullis_proto::admin::v1::system_server::System;
use portcullis_proto::admin::v1::{StatusRequest, StatusResponse};
use tonic::{Request, Response, Status};

use super::convert::millis;
use super::error::of_repository;
use crate::access::Caller;
use crate::services::Services;

/// `portcullis.admin.v1.System`
pub(crate) struct SystemApi(pub(crate) Services);

#[tonic::async_trait]
impl System for SystemApi {
    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let services = &self.0;
        let caller = Caller::of(&request);
        let registered = services
            .repository
            .gateways()
            .count()
            .await
            .map_err(|error| of_repository(&error))?;
        let audit = services.audit.ready().await;
        let current = services
            .repository
            .gateway_keys()
            .current()
            .await
            .map_err(|error| of_repository(&error))?;
        Ok(Response::new(StatusResponse {
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
            capabilities: caller.held.iter().map(|held| held.to_string()).collect(),
        }))
    }
}
