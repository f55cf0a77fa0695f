//! `portcullis user …`: the people of the identity system.

use std::time::SystemTime;

use clap::Subcommand;
use portcullis_proto::admin::v1::users_client::UsersClient;
use portcullis_proto::admin::v1::{
    AddUserRequest, CheckAnswerRequest, CheckUserPasswordRequest, GrantToUserRequest,
    ListUsersRequest, RemoveAnswerRequest, RemoveUserRequest, SetAnswerRequest,
    SetUserPasswordRequest, ShowUserRequest, User, WithdrawFromUserRequest,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::input::prompt::{AnswerSource, PasswordSource};
use crate::time::{age, rfc3339, time_and_age};
use crate::view::{Listed, View, facts};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user: a person of the identity system
    Add {
        /// 1 to 128 of A-Z a-z 0-9 . _ @ + -, beginning with a letter or a digit
        name: String,
    },
    /// List the users
    List,
    /// Show one user: never a password or an answer
    Show {
        /// The user
        name: String,
    },
    /// Remove a user, with password, history and answers; accounts are not touched
    Remove {
        /// The user
        name: String,
    },
    /// Give a user a password, which accounts can be given with --from-user
    SetPassword {
        /// The user
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Try whether a password is that of a user
    CheckPassword {
        /// The user
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Keep a user's answer to a question, to be compared only
    SetAnswer {
        /// The user
        name: String,
        /// The question, as it will be asked
        #[arg(long, value_name = "QUESTION")]
        question: String,
        #[command(flatten)]
        answer: AnswerSource,
    },
    /// Try whether an answer is the user's
    CheckAnswer {
        /// The user
        name: String,
        /// The question
        #[arg(long, value_name = "QUESTION")]
        question: String,
        #[command(flatten)]
        answer: AnswerSource,
    },
    /// Give a user a capability, which they have once they have logged in
    Grant {
        /// The user
        name: String,
        /// security-administrator, administrator, operator or auditor
        capability: String,
    },
    /// Take a capability from a user, in their sessions too
    Withdraw {
        /// The user
        name: String,
        /// The capability
        capability: String,
    },
    /// Forget a user's answer to a question
    RemoveAnswer {
        /// The user
        name: String,
        /// The question
        #[arg(long, value_name = "QUESTION")]
        question: String,
    },
}

impl UserCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        // Connected before any prompt: nobody types a password for a server that is not there.
        let mut users = context.client(UsersClient::new).await?;
        let user = match self {
            Self::Add { name } => users.add(AddUserRequest { name }).await?,
            Self::Show { name } => users.show(ShowUserRequest { name }).await?,
            Self::SetPassword { name, password } => {
                let password = Some(password.new_password()?);
                let request = SetUserPasswordRequest { name, password };
                users.set_password(request).await?
            }
            Self::SetAnswer {
                name,
                question,
                answer,
            } => {
                let answer = Some(answer.answer()?);
                let request = SetAnswerRequest {
                    name,
                    question,
                    answer,
                };
                users.set_answer(request).await?
            }
            Self::RemoveAnswer { name, question } => {
                let request = RemoveAnswerRequest { name, question };
                users.remove_answer(request).await?
            }
            Self::Grant { name, capability } => {
                let request = GrantToUserRequest { name, capability };
                users.grant(request).await?
            }
            Self::Withdraw { name, capability } => {
                let request = WithdrawFromUserRequest { name, capability };
                users.withdraw(request).await?
            }
            Self::List => return context.print(&list(users).await?),
            Self::Remove { name } => return remove(context, users, name).await,
            Self::CheckPassword { name, password } => {
                let request = CheckUserPasswordRequest {
                    name: name.clone(),
                    password: Some(password.known_password()?),
                };
                let answer = users.check_password(request).await?.into_inner();
                return say_whether(context, answer.matches, "password", name);
            }
            Self::CheckAnswer {
                name,
                question,
                answer,
            } => {
                let request = CheckAnswerRequest {
                    name: name.clone(),
                    question,
                    answer: Some(answer.answer()?),
                };
                let answer = users.check_answer(request).await?.into_inner();
                return say_whether(context, answer.matches, "answer", name);
            }
        };
        context.print(&user.into_inner())
    }
}

async fn list(mut client: UsersClient) -> Result<Vec<User>, CliError> {
    let mut users = Vec::new();
    let mut request = ListUsersRequest::default();
    loop {
        let page = client.list(request.clone()).await?.into_inner();
        users.extend(page.users);
        match users.last() {
            Some(last) if page.more => request.after.clone_from(&last.name),
            _ => return Ok(users),
        }
    }
}

async fn remove(context: &Context, mut users: UsersClient, name: String) -> Result<(), CliError> {
    let request = RemoveUserRequest { name: name.clone() };
    users.remove(request).await?;
    context.say(
        &format!(
            "user {name} is removed, with password, history and answers; no account was touched"
        ),
        &json!({ "removed": name }),
    )
}

/// Says that it is the user's; that it is not is an error.
fn say_whether(
    context: &Context,
    matches: bool,
    what: &'static str,
    user: String,
) -> Result<(), CliError> {
    if !matches {
        return Err(CliError::NoMatch { what, user });
    }
    let sentence = format!("the {what} is that of user {user}");
    context.say(&sentence, &json!({ "matches": true }))
}

impl Listed for User {
    const NONE: &'static str = "there is no user: `portcullis user add NAME` adds one";
    const HEADING: &'static [&'static str] = &["name", "password", "answers", "may"];

    fn row(&self, now: SystemTime) -> Vec<String> {
        vec![
            self.name.clone(),
            password(age(self.password_set_unix_ms, now)),
            self.questions.len().to_string(),
            self.capabilities.join(", "),
        ]
    }
}

/// Never the password or an answer.
impl View for User {
    fn table(&self, now: SystemTime) -> String {
        let set = time_and_age(self.password_set_unix_ms, now);
        facts([
            ("user", Some(self.name.clone())),
            ("password", Some(password(set))),
            ("questions", Some(self.questions.join("\n"))),
            (
                "may",
                Some(self.capabilities.join(", ")).filter(|may| !may.is_empty()),
            ),
            ("made", time_and_age(self.created_unix_ms, now)),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "password_set": rfc3339(self.password_set_unix_ms),
            "questions": self.questions,
            "capabilities": self.capabilities,
            "created": rfc3339(self.created_unix_ms),
        })
    }
}

fn password(set: Option<String>) -> String {
    set.map_or_else(|| "none".to_owned(), |when| format!("set {when}"))
}
