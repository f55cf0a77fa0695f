//! `portcullis task watch`

use clap::Args;

use super::follow::follow;
use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct WatchArgs {
    /// The task's number
    id: u64,
}

impl WatchArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        follow(context, self.id).await
    }
}
