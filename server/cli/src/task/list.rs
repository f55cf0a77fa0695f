//! `portcullis task list`

use clap::Args;
use portcullis_proto::admin::v1::ListTasksRequest;
use portcullis_proto::admin::v1::tasks_client::TasksClient;

use crate::context::Context;
use crate::error::CliError;
use crate::view::TaskList;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {}

impl ListArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let tasks = context
            .client(TasksClient::new)
            .await?
            .list(ListTasksRequest {})
            .await?;
        context.print(&TaskList(tasks.into_inner().tasks))
    }
}
