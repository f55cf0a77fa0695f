//! `portcullis key …`

mod generate_server;
mod kind;
mod list;
mod re_encrypt;
mod rotate_gateway;
mod set_current;
mod sync_gateways;
mod verify;

use clap::Subcommand;
use portcullis_proto::admin::v1::SyncProgress;
use tonic::Streaming;

use super::context::Context;
use super::error::CliError;
use super::view::{SyncSummary, sync_line};

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// List the keys of the repository, by id
    List(list::ListArgs),
    /// Make a server key
    GenerateServer(generate_server::GenerateServerArgs),
    /// Encrypt what is stored from now on under another server key
    SetCurrent(set_current::SetCurrentArgs),
    /// Encrypt anew every value that is not under the current server key
    ReEncrypt(re_encrypt::ReEncryptArgs),
    /// Open every value and every server key, and report what does not open
    Verify(verify::VerifyArgs),
    /// Make a new gateway key current and push it to the gateways
    RotateGateway(rotate_gateway::RotateGatewayArgs),
    /// Push the current gateway key to the gateways that have not proved it
    SyncGateways(sync_gateways::SyncGatewaysArgs),
}

impl KeyCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::GenerateServer(args) => args.run(context).await,
            Self::SetCurrent(args) => args.run(context).await,
            Self::ReEncrypt(args) => args.run(context).await,
            Self::Verify(args) => args.run(context).await,
            Self::RotateGateway(args) => args.run(context).await,
            Self::SyncGateways(args) => args.run(context).await,
        }
    }
}

/// Follows a push to its end, tells what happens as it happens, and prints the summary.
async fn follow(context: &Context, mut stream: Streaming<SyncProgress>) -> Result<(), CliError> {
    let mut summary = SyncSummary::default();
    loop {
        let progress = stream
            .message()
            .await?
            .ok_or(CliError::BadAnswer("the report breaks off"))?;
        for result in &progress.results {
            context.note(&sync_line(result));
        }
        let last = progress.last;
        summary.take(progress);
        if last {
            return context.print(&summary);
        }
    }
}

/// A wait in the milliseconds of the wire.
fn wait_ms(wait: std::time::Duration) -> Result<u32, CliError> {
    u32::try_from(wait.as_millis())
        .map_err(|_| CliError::usage("--wait is too long: give at most 49d"))
}
