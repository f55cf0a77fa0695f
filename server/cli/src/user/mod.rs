//! `portcullis user …`

mod add;
mod check_answer;
mod check_password;
mod list;
mod remove;
mod remove_answer;
mod set_answer;
mod set_password;
mod show;

use clap::Subcommand;
use portcullis_proto::admin::v1::CheckResponse;
use serde_json::json;

use super::context::Context;
use super::error::CliError;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user: a person of the identity system
    Add(add::AddArgs),
    /// List the users
    List(list::ListArgs),
    /// Show one user: never a password or an answer
    Show(show::ShowArgs),
    /// Remove a user, with password, history and answers; accounts are not touched
    Remove(remove::RemoveArgs),
    /// Give a user a password, which accounts can be given with --from-user
    SetPassword(set_password::SetPasswordArgs),
    /// Try whether a password is that of a user
    CheckPassword(check_password::CheckPasswordArgs),
    /// Keep a user's answer to a question, to be compared only
    SetAnswer(set_answer::SetAnswerArgs),
    /// Try whether an answer is the user's
    CheckAnswer(check_answer::CheckAnswerArgs),
    /// Forget a user's answer to a question
    RemoveAnswer(remove_answer::RemoveAnswerArgs),
}

impl UserCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Add(args) => args.run(context).await,
            Self::List(args) => args.run(context).await,
            Self::Show(args) => args.run(context).await,
            Self::Remove(args) => args.run(context).await,
            Self::SetPassword(args) => args.run(context).await,
            Self::CheckPassword(args) => args.run(context).await,
            Self::SetAnswer(args) => args.run(context).await,
            Self::CheckAnswer(args) => args.run(context).await,
            Self::RemoveAnswer(args) => args.run(context).await,
        }
    }
}

/// Says that it is the user's; that it is not is an error.
fn print_match(
    context: &Context,
    answer: CheckResponse,
    what: &'static str,
    user: &str,
) -> Result<(), CliError> {
    if !answer.matches {
        return Err(CliError::NoMatch {
            what,
            user: user.to_owned(),
        });
    }
    if context.json() {
        context.print_json(&json!({ "matches": true }))
    } else {
        context.line(&format!("the {what} is that of user {user}"))
    }
}
