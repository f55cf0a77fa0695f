//! `portcullis key sync-gateways`

use clap::Args;
use portcullis_proto::admin::v1::SyncGatewaysRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;

use crate::context::Context;
use crate::error::CliError;
use crate::task::follow::{Where, started};

use super::push::{PushArgs, follow};

#[derive(Debug, Args)]
pub(crate) struct SyncGatewaysArgs {
    #[command(flatten)]
    push: PushArgs,
    /// Push as a task, and print its number at once
    #[arg(long, conflicts_with = "wait")]
    background: bool,
}

impl SyncGatewaysArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = SyncGatewaysRequest {
            wait_ms: self.push.wait_ms()?,
            push: Some(self.push.options()),
        };
        if self.background {
            let answer = context
                .client(KeysClient::new)
                .await?
                .start_sync(request)
                .await?;
            return started(context, answer.into_inner(), Where::background()).await;
        }
        let stream = context
            .client(KeysClient::new)
            .await?
            .sync_gateways(request)
            .await?
            .into_inner();
        follow(context, stream).await
    }
}
