//! `portcullis policy …`

mod add_words;
mod check;
mod clear_words;
mod remove_word;
mod set;
mod show;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Show what passwords have to be
    Show(show::ShowArgs),
    /// Change some of the rules; the others stay
    Set(set::SetArgs),
    /// Add the words of a file, one a line, to those that no password may be
    AddWords(add_words::AddWordsArgs),
    /// Remove a word from the dictionary
    RemoveWord(remove_word::RemoveWordArgs),
    /// Remove all words from the dictionary
    ClearWords(clear_words::ClearWordsArgs),
    /// Tell which rules a password would break
    Check(check::CheckArgs),
}

impl PolicyCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Show(args) => args.run(context).await,
            Self::Set(args) => args.run(context).await,
            Self::AddWords(args) => args.run(context).await,
            Self::RemoveWord(args) => args.run(context).await,
            Self::ClearWords(args) => args.run(context).await,
            Self::Check(args) => args.run(context).await,
        }
    }
}
