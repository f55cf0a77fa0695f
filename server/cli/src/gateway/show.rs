//! `portcullis gateway show`

use clap::Args;
use portcullis_proto::admin::v1::ShowGatewayRequest;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The gateway's name
    name: String,
}

impl ShowArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let gateway = context
            .client(GatewaysClient::new)
            .await?
            .show(ShowGatewayRequest { name: self.name })
            .await?
            .into_inner();
        context.print(&gateway)
    }
}
