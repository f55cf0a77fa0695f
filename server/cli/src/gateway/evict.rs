//! `portcullis gateway evict`

use clap::Args;
use portcullis_proto::admin::v1::EvictGatewayRequest;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct EvictArgs {
    /// The gateway's name
    name: String,
}

impl EvictArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let gateway = context
            .client(GatewaysClient::new)
            .await?
            .evict(EvictGatewayRequest { name: self.name })
            .await?
            .into_inner();
        context.print(&gateway)
    }
}
