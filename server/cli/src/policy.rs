//! `portcullis policy …`: what passwords have to be.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use portcullis_host::text;
use portcullis_proto::admin::v1::policy_client::PolicyClient;
use portcullis_proto::admin::v1::{
    AddWordsRequest, CheckPolicyRequest, ClearWordsRequest, PasswordPolicy, RemoveWordRequest,
    SetPolicyRequest, ShowPolicyRequest,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::input::prompt::PasswordSource;
use crate::view::{View, facts};

/// A word list that is larger is to be split, in bytes.
const MAX_WORDS: u64 = 256 << 20;

/// Words in one request: a second or two of work for the server.
const AT_A_TIME: usize = 256;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show what passwords have to be
    Show,
    /// Change some of the rules; the others stay
    #[command(
        after_help = "Example:\n  portcullis policy set --min-length 12 --min-digits 1 --forbid-names true"
    )]
    Set {
        #[command(flatten)]
        rules: RuleArgs,
    },
    /// Add the words of a file, one a line, to those that no password may be
    AddWords {
        /// A text file in UTF-8, with a word on each line. May be given again: words that are there
        /// already are left alone
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove a word from the dictionary
    RemoveWord {
        /// The word, in any case
        word: String,
    },
    /// Remove all words from the dictionary
    ClearWords,
    /// Tell which rules a password would break
    Check {
        /// As if it were for this user: names and history count
        #[arg(long, value_name = "NAME", conflicts_with_all = ["resource", "account"])]
        user: Option<String>,
        /// As if it were for an account of this resource
        #[arg(long, value_name = "NAME", requires = "account")]
        resource: Option<String>,
        /// The account
        #[arg(long, value_name = "NAME", requires = "resource")]
        account: Option<String>,
        #[command(flatten)]
        password: PasswordSource,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct RuleArgs {
    /// Characters at least; 0 (as in all rules): no such rule
    #[arg(long, value_name = "N")]
    min_length: Option<u32>,
    /// Characters at most
    #[arg(long, value_name = "N")]
    max_length: Option<u32>,
    /// Lower-case letters at least
    #[arg(long, value_name = "N")]
    min_lower: Option<u32>,
    /// Upper-case letters at least
    #[arg(long, value_name = "N")]
    min_upper: Option<u32>,
    /// Digits at least
    #[arg(long, value_name = "N")]
    min_digits: Option<u32>,
    /// Characters that are neither letters nor digits, at least
    #[arg(long, value_name = "N")]
    min_other: Option<u32>,
    /// Whether the name of the user or account may not be in it
    #[arg(long, value_name = "true|false")]
    forbid_names: Option<bool>,
    /// Whether it may be no word of the dictionary
    #[arg(long, value_name = "true|false")]
    forbid_words: Option<bool>,
    /// Of how many earlier passwords of the user it may be none
    #[arg(long, value_name = "N")]
    user_history: Option<u32>,
    /// Of how many earlier passwords of the account on its resource it may be none
    #[arg(long, value_name = "N")]
    account_history: Option<u32>,
}

impl PolicyCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let connect = || context.client(PolicyClient::new);
        let policy = match self {
            Self::AddWords { file } => return add_words(context, &file).await,
            Self::Check {
                user,
                resource,
                account,
                password,
            } => {
                let mut client = connect().await?;
                let request = CheckPolicyRequest {
                    password: Some(password.known_password()?),
                    user: user.unwrap_or_default(),
                    resource: resource.unwrap_or_default(),
                    account: account.unwrap_or_default(),
                };
                let violations = client.check(request).await?.into_inner().violations;
                if !violations.is_empty() {
                    return Err(CliError::PolicyBroken { violations });
                }
                let sentence = "the password meets the policy";
                return context.say(sentence, &json!({ "violations": [] }));
            }
            Self::Show => connect().await?.show(ShowPolicyRequest {}).await?,
            Self::Set { rules } => connect().await?.set(rules.request()).await?,
            Self::RemoveWord { word } => {
                let request = RemoveWordRequest { word };
                connect().await?.remove_word(request).await?
            }
            Self::ClearWords => connect().await?.clear_words(ClearWordsRequest {}).await?,
        };
        context.print(&policy.into_inner())
    }
}

impl RuleArgs {
    fn request(self) -> SetPolicyRequest {
        SetPolicyRequest {
            min_length: self.min_length,
            max_length: self.max_length,
            min_lower: self.min_lower,
            min_upper: self.min_upper,
            min_digits: self.min_digits,
            min_other: self.min_other,
            forbid_names: self.forbid_names,
            forbid_words: self.forbid_words,
            user_history: self.user_history,
            account_history: self.account_history,
        }
    }
}

async fn add_words(context: &Context, file: &Path) -> Result<(), CliError> {
    let content = text::read_file(file, MAX_WORDS).map_err(CliError::text(file))?;
    let words: Vec<_> = text::lines(&content)
        .map(|(_, line)| line.trim())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let mut client = context.client(PolicyClient::new).await?;
    let total = words.len();
    let bar = context.bar(
        Some(total as u64),
        "{bar:30} {pos}/{len} words  {elapsed} gone, {eta} to go",
    );
    let mut added = 0;
    for some in words.chunks(AT_A_TIME) {
        let words = some.to_vec();
        let request = AddWordsRequest { words };
        let answer = client.add_words(request).await.map_err(CliError::from);
        added += answer
            .map_err(|error| some_added(added, error))?
            .into_inner()
            .added;
        bar.inc(some.len() as u64);
    }
    bar.finish_and_clear();
    context.say(
        &format!(
            "{added} of {total} words are new in the dictionary; `portcullis policy set --forbid-words true` has passwords obey it"
        ),
        &json!({ "words": total, "added": added }),
    )
}

/// What went wrong after some words were taken.
fn some_added(added: u64, error: CliError) -> CliError {
    if added == 0 {
        return error;
    }
    CliError::Partly {
        done: format!("{added} words were added, and stay; the same command goes on"),
        source: Box::new(error),
    }
}

impl View for PasswordPolicy {
    fn table(&self, _: SystemTime) -> String {
        let number = |value: u32| match value {
            0 => "-".to_owned(),
            value => value.to_string(),
        };
        let yes = |rule: bool| if rule { "yes" } else { "-" }.to_owned();
        facts([
            ("minimum length", Some(number(self.min_length))),
            ("maximum length", Some(number(self.max_length))),
            ("lower-case letters", Some(number(self.min_lower))),
            ("upper-case letters", Some(number(self.min_upper))),
            ("digits", Some(number(self.min_digits))),
            ("other characters", Some(number(self.min_other))),
            ("no names in it", Some(yes(self.forbid_names))),
            ("no dictionary word", Some(yes(self.forbid_words))),
            ("words in the dictionary", Some(self.words.to_string())),
            ("history of users", Some(number(self.user_history))),
            ("history of accounts", Some(number(self.account_history))),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "min_length": self.min_length,
            "max_length": self.max_length,
            "min_lower": self.min_lower,
            "min_upper": self.min_upper,
            "min_digits": self.min_digits,
            "min_other": self.min_other,
            "forbid_names": self.forbid_names,
            "forbid_words": self.forbid_words,
            "words": self.words,
            "user_history": self.user_history,
            "account_history": self.account_history,
        })
    }
}
