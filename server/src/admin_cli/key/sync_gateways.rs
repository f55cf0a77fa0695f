//! `portcullis key sync-gateways`

use clap::Args;
use portcullis_proto::admin::v1::SyncGatewaysRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

use super::push::{PushArgs, follow};

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct SyncGatewaysArgs {
    #[command(flatten)]
    push: PushArgs,
}

impl SyncGatewaysArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = SyncGatewaysRequest {
            wait_ms: self.push.wait_ms()?,
            push: Some(self.push.options()),
        };
        let stream = context
            .keys()
            .await?
            .sync_gateways(request)
            .await?
            .into_inner();
        follow(context, stream).await
    }
}
