//! `portcullis gateway revoke`

use clap::Args;
use portcullis_proto::admin::v1::RevokeGatewayRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct RevokeArgs {
    /// The gateway's name
    name: String,
}

impl RevokeArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let gateway = context
            .gateways()
            .await?
            .revoke(RevokeGatewayRequest { name: self.name })
            .await?
            .into_inner();
        context.print(&gateway)
    }
}
