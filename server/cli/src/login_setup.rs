//! `portcullis login app|group …`: to what users log in, and by which modules.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use portcullis_proto::admin::v1::login_client::LoginClient;
use portcullis_proto::admin::v1::{
    Application, ListApplicationsRequest, ListLoginGroupsRequest, LoginGroup,
    RemoveApplicationRequest, RemoveLoginGroupRequest, SetApplicationRequest, SetLoginGroupRequest,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::view::{Listed, View, facts};

#[derive(Debug, Subcommand)]
pub(crate) enum SetupCommand {
    /// Applications: what users log in to
    #[command(subcommand)]
    App(AppCommand),
    /// Groups of modules, which say who somebody is
    #[command(subcommand)]
    Group(GroupCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// List the applications, with their groups, limits and sessions
    List,
    /// Make an application
    Add {
        /// 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change an application, for log-ins from then on
    Set {
        /// The application
        name: String,
        #[command(flatten)]
        settings: Settings,
        /// End its sessions, too
        #[arg(long)]
        end_sessions: bool,
    },
    /// Let nobody log in to an application any more; its sessions go on
    Disable {
        /// The application: neither api nor console
        name: String,
        /// What whoever is kept out is told
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
        /// End its sessions, too
        #[arg(long)]
        end_sessions: bool,
    },
    /// Let users log in to an application again
    Enable {
        /// The application
        name: String,
    },
    /// Remove an application that is not built in, and end its sessions
    Remove {
        /// The application
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// How long a session may be without a command: from 1s to 30min
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    idle: Option<Duration>,
    /// How long a session lasts in any case: from 1s to 12h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    absolute: Option<Duration>,
    /// Whether a user has one session at a time: the newer one takes the place of the older
    #[arg(long, value_name = "true|false")]
    single_session: Option<bool>,
    /// A group that is asked; several in the order in which their rules are looked at, one without
    /// a rule last
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// List the groups, with their modules, rules and applications
    List,
    /// Make a group, or change one
    Set {
        /// 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit
        name: String,
        /// A module and its flag, such as password:required; several in their order. Flags are
        /// required, requisite, sufficient and optional
        #[arg(long = "module", value_name = "KIND:FLAG")]
        modules: Vec<String>,
        /// When the group is asked, such as 'from:10.0.0.0/8 days:mon-fri'; empty: always
        #[arg(long, value_name = "RULE")]
        rule: Option<String>,
    },
    /// Remove a group that no application asks
    Remove {
        /// The group
        name: String,
    },
}

impl SetupCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::App(command) => command.run(context).await,
            Self::Group(command) => command.run(context).await,
        }
    }
}

impl AppCommand {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(LoginClient::new).await?;
        let request = match self {
            Self::List => {
                let listed = client.list_applications(ListApplicationsRequest {}).await?;
                return context.print(&listed.into_inner().applications);
            }
            Self::Remove { name } => {
                let request = RemoveApplicationRequest { name: name.clone() };
                client.remove_application(request).await?;
                let sentence = format!("log-in application {name} is removed, with its sessions");
                return context.say(&sentence, &json!({ "removed": name }));
            }
            Self::Add { name, settings } => SetApplicationRequest {
                add: true,
                ..settings.request(name)
            },
            Self::Set {
                name,
                settings,
                end_sessions,
            } => SetApplicationRequest {
                end_sessions,
                ..settings.request(name)
            },
            Self::Disable {
                name,
                message,
                end_sessions,
            } => SetApplicationRequest {
                name,
                disabled: Some(true),
                message,
                end_sessions,
                ..SetApplicationRequest::default()
            },
            Self::Enable { name } => SetApplicationRequest {
                name,
                disabled: Some(false),
                ..SetApplicationRequest::default()
            },
        };
        let application = client.set_application(request).await?;
        context.print(&application.into_inner())
    }
}

impl Settings {
    fn request(self, name: String) -> SetApplicationRequest {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        SetApplicationRequest {
            name,
            idle_ms: self.idle.map(millis),
            absolute_ms: self.absolute.map(millis),
            single_session: self.single_session,
            groups: self.groups,
            ..SetApplicationRequest::default()
        }
    }
}

impl GroupCommand {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(LoginClient::new).await?;
        match self {
            Self::List => {
                let listed = client.list_groups(ListLoginGroupsRequest {}).await?;
                context.print(&listed.into_inner().groups)
            }
            Self::Set {
                name,
                modules,
                rule,
            } => {
                let request = SetLoginGroupRequest {
                    name,
                    rule,
                    modules,
                };
                context.print(&client.set_group(request).await?.into_inner())
            }
            Self::Remove { name } => {
                let request = RemoveLoginGroupRequest { name: name.clone() };
                client.remove_group(request).await?;
                let sentence = format!("log-in group {name} is removed");
                context.say(&sentence, &json!({ "removed": name }))
            }
        }
    }
}

impl Listed for Application {
    const NONE: &'static str = "there is no log-in application";
    const HEADING: &'static [&'static str] = &[
        "name",
        "groups",
        "idle",
        "absolute",
        "one session",
        "sessions",
        "state",
    ];

    fn row(&self, _: SystemTime) -> Vec<String> {
        vec![
            self.name.clone(),
            self.groups.join(" "),
            time(self.idle_ms),
            time(self.absolute_ms),
            if self.single_session { "yes" } else { "no" }.to_owned(),
            self.sessions.to_string(),
            state(self),
        ]
    }
}

impl View for Application {
    fn table(&self, _: SystemTime) -> String {
        facts([
            ("application", Some(self.name.clone())),
            ("groups", Some(self.groups.join("\n"))),
            ("idle", Some(time(self.idle_ms))),
            ("absolute", Some(time(self.absolute_ms))),
            ("one session", Some(self.single_session.to_string())),
            ("sessions", Some(self.sessions.to_string())),
            ("state", Some(state(self))),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "groups": self.groups,
            "idle_ms": self.idle_ms,
            "absolute_ms": self.absolute_ms,
            "single_session": self.single_session,
            "disabled": self.disabled,
            "message": self.message,
            "sessions": self.sessions,
        })
    }
}

impl Listed for LoginGroup {
    const NONE: &'static str = "there is no log-in group";
    const HEADING: &'static [&'static str] = &["name", "modules", "rule", "used by"];

    fn row(&self, _: SystemTime) -> Vec<String> {
        vec![
            self.name.clone(),
            self.modules.join(" "),
            rule(self),
            self.used_by.join(" "),
        ]
    }
}

impl View for LoginGroup {
    fn table(&self, _: SystemTime) -> String {
        facts([
            ("group", Some(self.name.clone())),
            ("modules", Some(self.modules.join("\n"))),
            ("rule", Some(rule(self))),
            ("used by", Some(self.used_by.join("\n"))),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "modules": self.modules,
            "rule": self.rule,
            "used_by": self.used_by,
        })
    }
}

fn time(ms: u64) -> String {
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

fn state(application: &Application) -> String {
    match (application.disabled, application.message.as_str()) {
        (false, _) => "open".to_owned(),
        (true, "") => "disabled".to_owned(),
        (true, message) => format!("disabled: {message}"),
    }
}

fn rule(group: &LoginGroup) -> String {
    match group.rule.as_str() {
        "" => "always".to_owned(),
        rule => rule.to_owned(),
    }
}
