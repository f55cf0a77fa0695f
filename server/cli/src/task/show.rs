//! `portcullis task show`

use clap::Args;
use portcullis_proto::admin::v1::ShowTaskRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ShowArgs {
    /// The task's number
    id: u64,
}

impl ShowArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = ShowTaskRequest { id: self.id };
        let task = context.tasks().await?.show(request).await?;
        context.print(&task.into_inner())
    }
}
