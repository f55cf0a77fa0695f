//! `portcullis gateway revoke`

use clap::Args;
use portcullis_proto::admin::v1::RevokeGatewayRequest;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The gateway's name
    name: String,
}

impl RevokeArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let gateway = context
            .client(GatewaysClient::new)
            .await?
            .revoke(RevokeGatewayRequest { name: self.name })
            .await?
            .into_inner();
        context.print(&gateway)
    }
}
