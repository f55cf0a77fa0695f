//! `portcullis task list`

use clap::Args;
use portcullis_proto::admin::v1::ListTasksRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::view::TaskList;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ListArgs {}

impl ListArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let tasks = context.tasks().await?.list(ListTasksRequest {}).await?;
        context.print(&TaskList(tasks.into_inner().tasks))
    }
}
