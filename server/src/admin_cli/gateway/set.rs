//! `portcullis gateway set`

use clap::Args;
use portcullis_proto::admin::v1::SetGatewayRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

use super::add::WayArgs;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct SetArgs {
    /// The gateway's name
    name: String,
    #[command(flatten)]
    way: WayArgs,
}

impl SetArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let gateway = context
            .gateways()
            .await?
            .set(SetGatewayRequest {
                name: self.name,
                address: self.way.address,
                dial_out: self.way.dial_out,
            })
            .await?
            .into_inner();
        context.print(&gateway)
    }
}
