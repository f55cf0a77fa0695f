//! `portcullis key …`: keys of the server and of its gateways, by id, never their bytes.

mod delete;
mod protect;
mod push;
mod status;
mod transfer;
mod view;

use clap::{Args, Subcommand};
use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use portcullis_proto::admin::v1::{
    GenerateServerKeyRequest, KeyStatusRequest, ListKeysRequest, ManageKeysRequest,
    ReEncryptRequest, SetCurrentKeyRequest, VerifyRequest,
};

use crate::context::Context;
use crate::error::CliError;
use crate::task::follow::{Where, started};
use view::{Kind, kind_of};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys of the repository, by id
    List,
    /// Make a server key
    GenerateServer {
        /// The kind of the new key; that of the current one where none is given
        #[arg(long, value_enum)]
        kind: Option<Kind>,
        /// Encrypt what is stored from now on under it
        #[arg(long)]
        set_current: bool,
    },
    /// Encrypt what is stored from now on under another server key
    SetCurrent {
        /// The server key, as `portcullis key list` shows it
        id: KeyId,
    },
    /// Replace the keys: the steps that are named, or without any a new server key, re-encrypt, a
    /// new gateway key, sync and verify
    Manage(ManageArgs),
    /// Encrypt anew every value that is not under the current server key
    ReEncrypt {
        /// Only values of this type; repeat it for several. All where none is given, but not
        /// `server-key`: that wraps the server keys themselves anew, under a fresh storage secret
        /// that the same secret opens
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// Say how many values would be encrypted anew, and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Open every value and every server key, and report what does not open
    Verify {
        #[command(flatten)]
        place: Where,
    },
    /// Show under which server key what is encrypted, how the server keys are protected, and who
    /// holds which gateway key
    Status {
        /// List every gateway too: the key it proved last, those sent to it and not proved since
        #[arg(long)]
        gateways: bool,
        /// List those gateways that have not proved the current gateway key
        #[arg(long)]
        behind: bool,
    },
    /// Make a new gateway key current and push it to the gateways
    RotateGateway(push::RotateGatewayArgs),
    /// Push the current gateway key to the gateways that have not proved it
    SyncGateways(push::SyncGatewaysArgs),
    /// Protect the server keys by another secret, or in another way
    Protect(protect::ProtectArgs),
    /// Write keys to a file, under a passphrase
    Export(transfer::ExportArgs),
    /// Take in the keys of an export
    Import(transfer::ImportArgs),
    /// Delete a key on which nothing depends
    Delete(delete::DeleteArgs),
}

const MANAGE_EXAMPLES: &str = "\
Examples:
  portcullis key manage --dry-run
  portcullis key manage
  portcullis key manage --gateway-key --sync --background";

#[derive(Debug, Args)]
#[command(after_help = MANAGE_EXAMPLES)]
pub(crate) struct ManageArgs {
    /// Make a new server key, and encrypt what is stored from now on under it
    #[arg(long)]
    server_key: bool,
    /// The kind of the new server key; that of the current one where none is given
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Encrypt anew every value that is not under the current server key
    #[arg(long)]
    re_encrypt: bool,
    /// Make a new gateway key
    #[arg(long)]
    gateway_key: bool,
    /// Push the current gateway key to the gateways that have not proved it
    #[arg(long)]
    sync: bool,
    /// Open every value and every server key
    #[arg(long)]
    verify: bool,
    /// Last, delete each server key and gateway key that is not current and on which nothing
    /// depends. Only where it is named
    #[arg(long)]
    delete_unused: bool,
    /// Say what would be done, with counts, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
}

impl KeyCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let connect = || context.client(KeysClient::new);
        match self {
            Self::List => {
                let answer = connect()
                    .await?
                    .list(ListKeysRequest {})
                    .await?
                    .into_inner();
                if let Some(warning) = answer.protection.as_ref().and_then(view::warning) {
                    context.note(warning);
                }
                context.print(&answer.keys)
            }
            Self::GenerateServer { kind, set_current } => {
                let kind = kind_of(kind).into();
                let request = GenerateServerKeyRequest { kind, set_current };
                let key = connect().await?.generate_server(request).await?;
                context.print(&vec![key.into_inner()])
            }
            Self::SetCurrent { id } => {
                let key_id = id.to_string();
                let request = SetCurrentKeyRequest { key_id };
                let key = connect().await?.set_current(request).await?;
                context.print(&vec![key.into_inner()])
            }
            Self::ReEncrypt {
                types,
                dry_run,
                place,
            } => {
                let request = ReEncryptRequest { types, dry_run };
                let mut keys = connect().await?;
                let asked = context.pending().dry(dry_run, keys.re_encrypt(request));
                let answer = asked.await?;
                started(context, answer.into_inner(), place).await
            }
            Self::Verify { place } => {
                let answer = connect().await?.verify(VerifyRequest {}).await?;
                started(context, answer.into_inner(), place).await
            }
            Self::Status { gateways, behind } => {
                let request = KeyStatusRequest {
                    gateways: gateways || behind,
                };
                let mut told = connect().await?.status(request).await?.into_inner();
                if behind {
                    status::only_behind(&mut told);
                }
                context.print(&told)
            }
            Self::Manage(args) => args.run(context).await,
            Self::RotateGateway(args) => args.run(context).await,
            Self::SyncGateways(args) => args.run(context).await,
            Self::Protect(args) => args.run(context).await,
            Self::Export(args) => args.run(context).await,
            Self::Import(args) => args.run(context).await,
            Self::Delete(args) => args.run(context).await,
        }
    }
}

impl ManageArgs {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let chosen = self.server_key
            || self.re_encrypt
            || self.gateway_key
            || self.sync
            || self.verify
            || self.delete_unused;
        let request = ManageKeysRequest {
            server_key: self.server_key || !chosen,
            server_kind: kind_of(self.kind).into(),
            re_encrypt: self.re_encrypt || !chosen,
            gateway_key: self.gateway_key || !chosen,
            sync_gateways: self.sync || !chosen,
            verify: self.verify || !chosen,
            dry_run: self.dry_run,
            delete_unused: self.delete_unused,
        };
        if self.kind.is_some() && !request.server_key {
            return Err(CliError::usage(
                "--kind is that of a new server key: give --server-key",
            ));
        }
        let mut keys = context.client(KeysClient::new).await?;
        let asked = context.pending().dry(self.dry_run, keys.manage(request));
        let answer = asked.await?;
        started(context, answer.into_inner(), self.place).await
    }
}
