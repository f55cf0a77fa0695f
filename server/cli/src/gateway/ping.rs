//! `portcullis gateway ping`

use std::time::Duration;

use clap::Args;
use portcullis_proto::admin::v1::PingGatewayRequest;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;
use crate::view::printable;

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// The gateway's name
    name: String,
}

impl PingArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context
            .client(GatewaysClient::new)
            .await?
            .ping(PingGatewayRequest { name: self.name })
            .await?
            .into_inner();
        let gateway = answer.gateway.ok_or(CliError::BadAnswer("no gateway"))?;
        if context.json() {
            return context.print_json(&json!({
                "gateway": gateway.name,
                "round_trip_us": answer.round_trip_us,
                "mode": gateway.mode,
                "suite": gateway.suite,
                "key_id": gateway.session_key_id,
            }));
        }
        context.line(&format!(
            "{} answered in {:?} ({} mode, {}, key {})",
            printable(&gateway.name),
            Duration::from_micros(answer.round_trip_us),
            printable(&gateway.mode),
            printable(&gateway.suite),
            printable(&gateway.session_key_id),
        ))
    }
}
