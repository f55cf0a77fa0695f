//! `portcullis key …`

mod delete;
mod export;
mod generate_server;
mod import;
mod kdf;
mod kind;
mod list;
mod manage;
mod protect;
mod push;
mod re_encrypt;
mod rotate_gateway;
mod set_current;
mod status;
mod sync_gateways;
mod verify;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// List the keys of the repository, by id
    List(list::ListArgs),
    /// Make a server key
    GenerateServer(generate_server::GenerateServerArgs),
    /// Encrypt what is stored from now on under another server key
    SetCurrent(set_current::SetCurrentArgs),
    /// Replace the keys: the steps that are named, or without any a new server key, re-encrypt, a new gateway key, sync and verify
    Manage(manage::ManageArgs),
    /// Encrypt anew every value that is not under the current server key
    ReEncrypt(re_encrypt::ReEncryptArgs),
    /// Open every value and every server key, and report what does not open
    Verify(verify::VerifyArgs),
    /// Show under which server key what is encrypted, how the server keys are protected, and who holds which gateway key
    Status(status::StatusArgs),
    /// Make a new gateway key current and push it to the gateways
    RotateGateway(rotate_gateway::RotateGatewayArgs),
    /// Push the current gateway key to the gateways that have not proved it
    SyncGateways(sync_gateways::SyncGatewaysArgs),
    /// Protect the server keys by another secret, or in another way
    Protect(protect::ProtectArgs),
    /// Write keys to a file, under a passphrase
    Export(export::ExportArgs),
    /// Take in the keys of an export
    Import(import::ImportArgs),
    /// Delete a key on which nothing depends
    Delete(delete::DeleteArgs),
}

impl KeyCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(args) => args.run(context).await,
            Self::GenerateServer(args) => args.run(context).await,
            Self::SetCurrent(args) => args.run(context).await,
            Self::Manage(args) => args.run(context).await,
            Self::ReEncrypt(args) => args.run(context).await,
            Self::Verify(args) => args.run(context).await,
            Self::Status(args) => args.run(context).await,
            Self::RotateGateway(args) => args.run(context).await,
            Self::SyncGateways(args) => args.run(context).await,
            Self::Protect(args) => args.run(context).await,
            Self::Export(args) => args.run(context).await,
            Self::Import(args) => args.run(context).await,
            Self::Delete(args) => args.run(context).await,
        }
    }
}
