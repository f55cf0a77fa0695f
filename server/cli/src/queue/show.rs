//! `portcullis call show`

use clap::Args;
use portcullis_proto::admin::v1::ShowQueuedRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ShowArgs {
    /// The call's id
    #[arg(value_name = "ID")]
    call_id: String,
}

impl ShowArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = ShowQueuedRequest {
            call_id: self.call_id,
        };
        let mut calls = context.calls().await?;
        let call = calls.show_queued(request).await?.into_inner();
        context.print(&call)
    }
}
