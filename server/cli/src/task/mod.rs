//! `portcullis task …`

mod cancel;
pub(super) mod follow;
mod list;
mod progress;
mod resume;
mod show;
mod watch;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;

#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// List the tasks, newest first
    List(list::ListArgs),
    /// Show what a task did, and what it found
    Show(show::ShowArgs),
    /// Follow a task to its end
    Watch(watch::WatchArgs),
    /// End a task at the next point where it can be resumed
    Cancel(cancel::CancelArgs),
    /// Let a task that failed or was cancelled go on with what is left to do
    Resume(resume::ResumeArgs),
}

impl TaskCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::Show(args) => args.run(context).await,
            Self::Watch(args) => args.run(context).await,
            Self::Cancel(args) => args.run(context).await,
            Self::Resume(args) => args.run(context).await,
        }
    }
}
