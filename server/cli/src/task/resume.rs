//! `portcullis task resume`

use clap::Args;
use portcullis_proto::admin::v1::ResumeTaskRequest;
use portcullis_proto::admin::v1::tasks_client::TasksClient;

use super::follow::{Where, go_on};
use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The task's number
    id: u64,
    #[command(flatten)]
    place: Where,
}

impl ResumeArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = ResumeTaskRequest { id: self.id };
        let task = context
            .client(TasksClient::new)
            .await?
            .resume(request)
            .await?;
        go_on(context, &task.into_inner(), &self.place).await
    }
}
