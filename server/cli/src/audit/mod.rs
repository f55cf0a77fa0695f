//! `portcullis audit …`

mod accept;
mod export;
mod line;
mod list;
mod verify;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// List the entries of the audit log, newest first
    List(list::ListArgs),
    /// Check that the audit log, or an export of it, is what the server wrote
    Verify(verify::VerifyArgs),
    /// Write the whole audit log to a file, one JSON object a line
    Export(export::ExportArgs),
    /// Go on although the audit log and its head file disagree: after a restore, or once an attack was looked into
    Accept(accept::AcceptArgs),
}

impl AuditCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::Verify(args) => args.run(context).await,
            Self::Export(args) => args.run(context).await,
            Self::Accept(args) => args.run(context).await,
        }
    }
}
