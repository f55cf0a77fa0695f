//! `portcullis task watch`

use clap::Args;

use super::follow::follow;
use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The task's number
    id: u64,
}

impl WatchArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        follow(context, self.id).await
    }
}
