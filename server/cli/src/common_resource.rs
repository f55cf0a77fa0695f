//! `portcullis common-resource …`: resources in a fixed order, among which a log-in finds its
//! account.

use std::time::{Duration, SystemTime};

use clap::Subcommand;
use portcullis_proto::admin::v1::commonresources_client::CommonResourcesClient;
use portcullis_proto::admin::v1::{
    AuthenticateRequest, CommonDirectory, CommonResource, ListCommonResourcesRequest,
    RemoveCommonResourceRequest, SetCommonResourceRequest, ShowCommonResourceRequest,
};
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::input::prompt::PasswordSource;
use crate::view::{Listed, View, facts};

/// What stands between the resources that are one directory.
const SAME: char = '+';

const SET_EXAMPLES: &str = "\
Examples:
  portcullis common-resource set staff corp-ad hr-db
  portcullis common-resource set staff ldap-north+ldap-south corp-ad";

#[derive(Debug, Subcommand)]
pub(crate) enum CommonResourceCommand {
    /// Make a common resource, or give it other resources
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit
        name: String,
        /// The directories in the order in which an account is looked for: a resource each, or
        /// several ways to one directory, with + between
        #[arg(required = true, value_name = "RESOURCE[+RESOURCE]")]
        directories: Vec<String>,
    },
    /// List the common resources
    List,
    /// Show one common resource
    Show {
        /// The common resource
        name: String,
    },
    /// Remove a common resource; its resources stay
    Remove {
        /// The common resource
        name: String,
    },
    /// Try whether a password is that of an account, at the one directory that has it
    Authenticate {
        /// The common resource
        name: String,
        /// The account, by its name
        account: String,
        #[command(flatten)]
        password: PasswordSource,
        /// Show what each resource said, which takes the capability `administrator`, too
        #[arg(long)]
        detail: bool,
        /// How long each directory may take; the gateway's own limit is never exceeded
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        timeout: Option<Duration>,
    },
}

impl CommonResourceCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut commons = context.client(CommonResourcesClient::new).await?;
        let common = match self {
            Self::Set { name, directories } => {
                let directories = directories.iter().map(|ways| CommonDirectory {
                    resources: ways.split(SAME).map(str::to_owned).collect(),
                });
                let directories = directories.collect();
                let request = SetCommonResourceRequest { name, directories };
                commons.set(request).await?
            }
            Self::Show { name } => commons.show(ShowCommonResourceRequest { name }).await?,
            Self::List => {
                let listed = commons.list(ListCommonResourcesRequest {}).await?;
                return context.print(&listed.into_inner().common_resources);
            }
            Self::Remove { name } => {
                let request = RemoveCommonResourceRequest { name: name.clone() };
                commons.remove(request).await?;
                let sentence = format!("common resource {name} is removed; its resources stay");
                return context.say(&sentence, &json!({ "removed": name }));
            }
            Self::Authenticate {
                name,
                account,
                password,
                detail,
                timeout,
            } => {
                let timeout = timeout.unwrap_or_default().as_millis();
                let request = AuthenticateRequest {
                    name,
                    account,
                    password: Some(password.known_password()?),
                    call_id: String::new(),
                    timeout_ms: u32::try_from(timeout).unwrap_or(u32::MAX),
                    with_detail: detail,
                };
                return authenticate(context, commons, request).await;
            }
        };
        context.print(&common.into_inner())
    }
}

async fn authenticate(
    context: &Context,
    mut commons: CommonResourcesClient,
    request: AuthenticateRequest,
) -> Result<(), CliError> {
    let account = request.account.clone();
    let answer = commons.authenticate(request).await?.into_inner();
    for tried in &answer.tried {
        context.note(&format!("{}: {}", tried.resource, tried.detail));
    }
    let outcome = answer.outcome.unwrap_or_default();
    match outcome.result {
        Some(OutcomeResult::Done(_)) => {
            let sentence = format!("the password is that of account {account}");
            let tried: Vec<_> = answer.tried.iter().map(|it| &it.resource).collect();
            let json = json!({ "call_id": outcome.call_id, "outcome": "done", "tried": tried });
            context.say(&sentence, &json)
        }
        Some(OutcomeResult::Failed(failure)) => Err(CliError::CallFailed {
            call_id: outcome.call_id,
            kind: failure.kind(),
            message: failure.message,
            native: None,
        }),
        _ => Err(CliError::BadAnswer("a log-in without an outcome")),
    }
}

impl Listed for CommonResource {
    const NONE: &'static str =
        "there is no common resource: `portcullis common-resource set NAME RESOURCE…` makes one";
    const HEADING: &'static [&'static str] = &["name", "directories"];

    fn row(&self, _: SystemTime) -> Vec<String> {
        vec![self.name.clone(), order(self, " ")]
    }
}

impl View for CommonResource {
    fn table(&self, _: SystemTime) -> String {
        facts([
            ("common resource", Some(self.name.clone())),
            ("directories", Some(order(self, "\n"))),
        ])
    }

    fn json(&self) -> Value {
        let directories = self.directories.iter().map(|ways| &ways.resources);
        json!({ "name": self.name, "directories": directories.collect::<Vec<_>>() })
    }
}

/// The directories in their order, the ways to each with + between.
fn order(common: &CommonResource, separator: &str) -> String {
    let directories = common.directories.iter();
    let directories = directories.map(|ways| ways.resources.join(&SAME.to_string()));
    directories.collect::<Vec<_>>().join(separator)
}
