//! `portcullis gateway …`

mod add;
mod evict;
mod list;
mod ping;
mod restore;
mod revoke;
mod set;
mod show;
mod token;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;

#[derive(Debug, Subcommand)]
pub(super) enum GatewayCommand {
    /// Register a gateway and print its enrolment token, this once
    Add(add::AddArgs),
    /// Make a new enrolment token: lost, expired, or the gateway was evicted
    Token(token::TokenArgs),
    /// Change how a gateway is reached, and which groups it is in
    Set(set::SetArgs),
    /// List the gateways
    List(list::ListArgs),
    /// Show one gateway: its link, its key, its connectors, its last error
    Show(show::ShowArgs),
    /// Send a gateway a few bytes through the sealed channel and back
    Ping(ping::PingArgs),
    /// End a gateway's session and forget its key: it may enrol again, with a new token
    Evict(evict::EvictArgs),
    /// Refuse a gateway, and end its session, until it is restored
    Revoke(revoke::RevokeArgs),
    /// Let a revoked gateway enrol again, under a new id and with a new token
    Restore(restore::RestoreArgs),
}

impl GatewayCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Add(args) => args.run(context).await,
            Self::Token(args) => args.run(context).await,
            Self::Set(args) => args.run(context).await,
            Self::List(args) => args.run(context).await,
            Self::Show(args) => args.run(context).await,
            Self::Ping(args) => args.run(context).await,
            Self::Evict(args) => args.run(context).await,
            Self::Revoke(args) => args.run(context).await,
            Self::Restore(args) => args.run(context).await,
        }
    }
}
