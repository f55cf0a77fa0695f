//! `portcullis task resume`

use clap::Args;
use portcullis_proto::admin::v1::ResumeTaskRequest;

use super::follow::{Where, go_on};
use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ResumeArgs {
    /// The task's number
    id: u64,
    #[command(flatten)]
    place: Where,
}

impl ResumeArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = ResumeTaskRequest { id: self.id };
        let task = context.tasks().await?.resume(request).await?;
        go_on(context, &task.into_inner(), &self.place).await
    }
}
