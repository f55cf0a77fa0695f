//! `portcullis task cancel`

use clap::Args;
use portcullis_proto::admin::v1::CancelTaskRequest;
use portcullis_proto::admin::v1::tasks_client::TasksClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The task's number
    id: u64,
}

impl CancelArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = CancelTaskRequest { id: self.id };
        let task = context
            .client(TasksClient::new)
            .await?
            .cancel(request)
            .await?;
        context.print(&task.into_inner())
    }
}
