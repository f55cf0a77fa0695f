//! `portcullis task show`

use clap::Args;
use portcullis_proto::admin::v1::ShowTaskRequest;
use portcullis_proto::admin::v1::tasks_client::TasksClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The task's number
    id: u64,
}

impl ShowArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = ShowTaskRequest { id: self.id };
        let task = context
            .client(TasksClient::new)
            .await?
            .show(request)
            .await?;
        context.print(&task.into_inner())
    }
}
