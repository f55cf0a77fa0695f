//! `portcullis call cancel`

use clap::Args;
use portcullis_proto::admin::v1::CancelQueuedRequest;
use portcullis_proto::admin::v1::calls_client::CallsClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The call's id
    #[arg(value_name = "ID")]
    call_id: String,
}

impl CancelArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = CancelQueuedRequest {
            call_id: self.call_id,
        };
        let mut calls = context.client(CallsClient::new).await?;
        let call = calls.cancel_queued(request).await?.into_inner();
        context.print(&call)
    }
}
