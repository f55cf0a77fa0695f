//! `portcullis gateway evict`

use clap::Args;
use portcullis_proto::admin::v1::EvictGatewayRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct EvictArgs {
    /// The gateway's name
    name: String,
}

impl EvictArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let gateway = context
            .gateways()
            .await?
            .evict(EvictGatewayRequest { name: self.name })
            .await?
            .into_inner();
        context.print(&gateway)
    }
}
