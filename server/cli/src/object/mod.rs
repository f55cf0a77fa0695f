//! `portcullis account …` and `portcullis group …`

mod authenticate;
mod create;
mod delete;
mod disable;
mod enable;
mod get;
mod list;
mod rename;
mod search;
mod set_password;
mod target;
mod update;

use clap::Subcommand;
use portcullis_proto::gateway::v1::ObjectClass;

use super::context::Context;
use super::error::CliError;
use super::import::ImportArgs;

#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Create an account
    Create(create::CreateAccountArgs),
    /// Show one account
    Get(get::GetArgs),
    /// Change an account's attributes
    Update(update::UpdateArgs),
    /// Delete an account
    Delete(delete::DeleteArgs),
    /// Let an account log in again
    Enable(enable::EnableArgs),
    /// Keep an account from logging in
    Disable(disable::DisableArgs),
    /// Give an account a new password
    SetPassword(set_password::SetPasswordArgs),
    /// Give an account another name; its id stays
    Rename(rename::RenameArgs),
    /// Try whether a password is that of an account
    Authenticate(authenticate::AuthenticateArgs),
    /// List all accounts
    List(list::ListArgs),
    /// List the accounts that meet a condition
    Search(search::SearchArgs),
    /// Create the accounts of a CSV or JSON Lines file
    Import(ImportArgs),
}

impl AccountCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        const CLASS: ObjectClass = ObjectClass::Account;
        match self {
            Self::Create(args) => args.run(context).await,
            Self::Get(args) => args.run(context, CLASS).await,
            Self::Update(args) => args.run(context, CLASS).await,
            Self::Delete(args) => args.run(context, CLASS).await,
            Self::Enable(args) => args.run(context, CLASS).await,
            Self::Disable(args) => args.run(context, CLASS).await,
            Self::SetPassword(args) => args.run(context, CLASS).await,
            Self::Rename(args) => args.run(context, CLASS).await,
            Self::Authenticate(args) => args.run(context, CLASS).await,
            Self::List(args) => args.run(context, CLASS).await,
            Self::Search(args) => args.run(context, CLASS).await,
            Self::Import(args) => args.run(context).await,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// Create a group
    Create(create::CreateGroupArgs),
    /// Show one group
    Get(get::GetArgs),
    /// Change a group's attributes, such as its members
    Update(update::UpdateArgs),
    /// Delete a group
    Delete(delete::DeleteArgs),
    /// List all groups
    List(list::ListArgs),
}

impl GroupCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        const CLASS: ObjectClass = ObjectClass::Group;
        match self {
            Self::Create(args) => args.run(context).await,
            Self::Get(args) => args.run(context, CLASS).await,
            Self::Update(args) => args.run(context, CLASS).await,
            Self::Delete(args) => args.run(context, CLASS).await,
            Self::List(args) => args.run(context, CLASS).await,
        }
    }
}
