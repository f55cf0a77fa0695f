//! `portcullis gateway show`

use clap::Args;
use portcullis_proto::admin::v1::ShowGatewayRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ShowArgs {
    /// The gateway's name
    name: String,
}

impl ShowArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let gateway = context
            .gateways()
            .await?
            .show(ShowGatewayRequest { name: self.name })
            .await?
            .into_inner();
        context.print(&gateway)
    }
}
