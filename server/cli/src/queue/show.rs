//! `portcullis call show`

use clap::Args;
use portcullis_proto::admin::v1::ShowQueuedRequest;
use portcullis_proto::admin::v1::calls_client::CallsClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The call's id
    #[arg(value_name = "ID")]
    call_id: String,
}

impl ShowArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = ShowQueuedRequest {
            call_id: self.call_id,
        };
        let mut calls = context.client(CallsClient::new).await?;
        let call = calls.show_queued(request).await?.into_inner();
        context.print(&call)
    }
}
