//! `portcullis call …`

mod cancel;
mod list;
mod show;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List the queued calls that have not ended
    List(list::ListArgs),
    /// Show what became of a queued call
    Show(show::ShowArgs),
    /// Take back a queued call that still waits
    Cancel(cancel::CancelArgs),
}

impl QueueCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::Show(args) => args.run(context).await,
            Self::Cancel(args) => args.run(context).await,
        }
    }
}
