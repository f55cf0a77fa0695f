//! `portcullis resource …`: what accounts live on, each behind a connector of a gateway.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use portcullis_proto::admin::v1::resources_client::ResourcesClient;
use portcullis_proto::admin::v1::{
    AddResourceRequest, ListResourcesRequest, RemoveResourceRequest, Resource, SetResourceRequest,
    ShowResourceRequest,
};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{GetSchema, SecretSetting, Test};
use serde_json::{Value, json};

use crate::call::{CallArgs, Caller, one_resource};
use crate::call_view::cancelled;
use crate::context::Context;
use crate::error::CliError;
use crate::input::assignment::{SecretFile, Setting};
use crate::input::prompt::{ask_secret, read_secret_file};
use crate::mapping::{Rules, suggest};
use crate::rotate::RotateArgs;
use crate::time::{rfc3339, time_and_age};
use crate::view::{Listed, View, facts, some};

/// The secret setting that `--password` is about.
const PASSWORD: &str = "password";

const ADD_EXAMPLES: &str = "\
Examples:
  portcullis resource add host1-accounts --gateway host1 --connector accounts
  portcullis resource test host1-accounts";

const ROTATE_EXAMPLES: &str = "\
Examples:
  portcullis resource rotate-password corp-ldap
  portcullis resource rotate-password --all";

#[derive(Debug, Subcommand)]
pub(crate) enum ResourceCommand {
    /// Add a resource: a connector of a gateway, with settings
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit
        name: String,
        /// The gateway that reaches it
        #[arg(long, value_name = "NAME")]
        gateway: String,
        /// The connector, by its name in that gateway's configuration
        #[arg(long, value_name = "NAME")]
        connector: String,
        /// A setting for the connector, passed along with each call; never a secret, never a path
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<Setting>,
        /// Put it into this group, which `@GROUP` stands for where a resource is named; repeat it
        /// for several
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Where this resource is there already, with this gateway, connector and settings and in
        /// these groups, change nothing and end with 0
        #[arg(long)]
        if_absent: bool,
    },
    /// Change a resource's gateway, connector, settings or groups
    Set {
        /// The resource
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// List the resources
    List {
        /// Only those in this group; repeat it for several
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Show one resource
    Show {
        /// The resource
        name: String,
    },
    /// Ask the connector whether it is ready to work
    Test {
        /// The resource
        name: String,
        #[command(flatten)]
        call: CallArgs,
    },
    /// Show what the connector can do: classes, attributes, actions, settings
    Schema {
        /// The resource
        name: String,
        #[command(flatten)]
        call: CallArgs,
    },
    /// Suggest a mapping by what the connector takes: print rules for `resource set --map-file`
    Suggest {
        /// The resource
        name: String,
        #[command(flatten)]
        call: CallArgs,
    },
    /// Give a gateway a new password at resources: long, random, and known to nobody
    #[command(after_help = ROTATE_EXAMPLES)]
    RotatePassword(RotateArgs),
    /// Remove a resource from the server; nothing on it is touched
    Remove {
        /// The resource
        name: String,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ChangeArgs {
    /// The gateway that reaches it from now on
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// The connector, by its name in that gateway's configuration
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// A setting to add or change; an empty VALUE removes it. The others stay as they are
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Setting>,
    /// Ask for the secret setting `password`, which is stored sealed and handed to the connector
    /// with each call
    #[arg(long, conflicts_with = "password_file")]
    password: bool,
    /// Read the secret setting `password` from a file: its one line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Ask for a secret setting of this name, such as bind_password; repeat it for several
    #[arg(long, value_name = "NAME")]
    secret_setting: Vec<String>,
    /// Read a secret setting from a file
    #[arg(long, value_name = "NAME=FILE")]
    secret_file: Vec<SecretFile>,
    /// Remove a secret setting
    #[arg(long, value_name = "NAME")]
    clear_secret: Vec<String>,
    /// A rule of the mapping to add or change: account.NAME or group.NAME, and the template of
    /// what it is made of, such as 'account.mail={email}'; an empty TEMPLATE removes the rule
    #[arg(long, value_name = "CLASS.NAME=TEMPLATE")]
    map: Vec<Setting>,
    /// Put the rules of a file in the place of the mapping there is: a rule on each line, # begins
    /// a comment
    #[arg(long, value_name = "FILE", conflicts_with = "map")]
    map_file: Option<PathBuf>,
    /// Put it into this group; repeat it for several
    #[arg(long = "add-group", value_name = "GROUP")]
    add_groups: Vec<String>,
    /// Take it out of this group; repeat it for several
    #[arg(long = "remove-group", value_name = "GROUP")]
    remove_groups: Vec<String>,
}

impl ResourceCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let connect = || context.client(ResourcesClient::new);
        let resource = match self {
            Self::Add {
                name,
                gateway,
                connector,
                set,
                groups,
                if_absent,
            } => {
                let request = AddResourceRequest {
                    if_absent,
                    name,
                    gateway,
                    connector,
                    settings: by_name(set)?,
                    groups,
                };
                connect().await?.add(request).await?
            }
            Self::Set { name, change } => {
                one_resource(&name)?;
                // Connected before any prompt: nobody types a password for a server that is not
                // there.
                let mut resources = connect().await?;
                let (request, rules) = change.request(name)?;
                let set = resources.set(request).await;
                set.map_err(|status| rules.placed(status.into()))?
            }
            Self::Show { name } => {
                one_resource(&name)?;
                connect().await?.show(ShowResourceRequest { name }).await?
            }
            Self::List { groups } => {
                let request = ListResourcesRequest { groups };
                let listed = connect().await?.list(request).await?;
                return context.print(&listed.into_inner().resources);
            }
            Self::Test { name, call } => {
                let sentence = format!("resource {name} is ready to work");
                let caller = Caller::new(context, name).await?;
                let verb = Verb::Test(Test {});
                return caller.tell(context, verb, &call, &sentence).await;
            }
            Self::Schema { name, call } => {
                let sentence = "the connector declares nothing";
                let caller = Caller::new(context, name).await?;
                let verb = Verb::Schema(GetSchema {});
                return caller.tell(context, verb, &call, sentence).await;
            }
            Self::Suggest { name, call } => {
                one_resource(&name)?;
                let request = ShowResourceRequest { name: name.clone() };
                let resource = connect().await?.show(request).await?.into_inner();
                if !resource.mapping.is_empty() {
                    return Err(CliError::Usage(format!(
                        "resource {name} has a mapping: `portcullis resource show {name}` shows it. To have one suggested, remove it first, by `resource set {name} --map-file` with an empty file"
                    )));
                }
                let schema = Caller::new(context, name).await?.schema(&call).await?;
                return suggest(context, &schema);
            }
            Self::RotatePassword(args) => return args.run(context).await,
            Self::Remove { name } => {
                one_resource(&name)?;
                let request = RemoveResourceRequest { name: name.clone() };
                let removed = connect().await?.remove(request).await?.into_inner();
                let ids = removed.cancelled_call_ids;
                let mut sentence = format!(
                    "resource {name} is removed from this server; nothing on it was touched"
                );
                if let Some(calls) = cancelled(ids.len() as u64, &ids) {
                    sentence.push_str(&format!("; {calls}"));
                }
                let json = json!({ "removed": name, "cancelled_call_ids": ids });
                return context.say(&sentence, &json);
            }
        };
        context.print(&resource.into_inner())
    }
}

impl ChangeArgs {
    /// The request, and where the rules in it stand.
    fn request(self, name: String) -> Result<(SetResourceRequest, Rules), CliError> {
        let secret_settings = self.secrets()?;
        let rules = Rules::given(self.map, self.map_file.as_deref())?;
        let request = SetResourceRequest {
            secret_settings,
            mapping: rules.templates.clone(),
            replace_mapping: rules.replace(),
            name,
            gateway: self.gateway,
            connector: self.connector,
            settings: by_name(self.set)?,
            add_groups: self.add_groups,
            remove_groups: self.remove_groups,
        };
        Ok((request, rules))
    }

    fn secrets(&self) -> Result<Vec<SecretSetting>, CliError> {
        let mut secrets = Vec::new();
        let mut put = |name: &str, value| {
            secrets.push(SecretSetting {
                name: name.to_owned(),
                value,
            });
        };
        if self.password {
            put(PASSWORD, Some(ask_secret(PASSWORD)?));
        }
        if let Some(path) = &self.password_file {
            put(PASSWORD, Some(read_secret_file(path)?));
        }
        for name in &self.secret_setting {
            put(name, Some(ask_secret(name)?));
        }
        for file in &self.secret_file {
            put(&file.name, Some(read_secret_file(&file.path)?));
        }
        for name in &self.clear_secret {
            put(name, None);
        }
        Ok(secrets)
    }
}

/// Settings as the API has them; a name given twice is a mistake.
fn by_name(given: Vec<Setting>) -> Result<HashMap<String, String>, CliError> {
    let mut out = HashMap::with_capacity(given.len());
    for Setting { name, value } in given {
        if out.insert(name.clone(), value).is_some() {
            return Err(CliError::Usage(format!("--set {name}=… is given twice")));
        }
    }
    Ok(out)
}

impl Listed for Resource {
    const NONE: &'static str = "there is no resource: `portcullis resource add NAME --gateway GATEWAY --connector CONNECTOR` makes one";
    const HEADING: &'static [&'static str] = &["name", "gateway", "connector", "settings"];

    fn row(&self, _: SystemTime) -> Vec<String> {
        vec![
            self.name.clone(),
            self.gateway.clone(),
            self.connector.clone(),
            match (self.fault.is_empty(), self.lost_secret_settings.is_empty()) {
                (true, true) => settings(self, " "),
                (true, false) => "SECRETS TO BE SET AGAIN".to_owned(),
                (false, _) => "RECORD CHANGED BY HAND".to_owned(),
            },
        ]
    }
}

impl View for Resource {
    fn table(&self, now: SystemTime) -> String {
        facts([
            ("resource", Some(self.name.clone())),
            ("gateway", Some(self.gateway.clone())),
            ("connector", Some(self.connector.clone())),
            ("settings", Some(settings(self, "\n"))),
            ("groups", Some(self.groups.join(" "))),
            ("mapping", some(&mapping(self)).map(str::to_owned)),
            ("secrets", Some(secrets(self))),
            ("made", time_and_age(self.created_unix_ms, now)),
            ("moved", moved(self)),
            ("WARNING", Some(self.warning.clone())),
            (
                "fault",
                Some(self.fault.clone()).filter(|fault| !fault.is_empty()),
            ),
        ])
    }

    fn json(&self) -> Value {
        let settings: BTreeMap<_, _> = self.settings.iter().collect();
        json!({
            "name": self.name,
            "gateway": self.gateway,
            "connector": self.connector,
            "settings": settings,
            "groups": self.groups,
            "mapping": self.mapping.iter().collect::<BTreeMap<_, _>>(),
            "secret_settings": self.secret_settings,
            "lost_secret_settings": self.lost_secret_settings,
            "pending_secret_settings": self.pending_secret_settings,
            "fault": self.fault,
            "created": rfc3339(self.created_unix_ms),
            "dropped_secret_settings": self.dropped_secret_settings,
            "cancelled_calls": self.cancelled_calls,
            "cancelled_call_ids": self.cancelled_call_ids,
            "warning": some(&self.warning),
        })
    }
}

/// What did not go along to another gateway or connector.
fn moved(resource: &Resource) -> Option<String> {
    let dropped = &resource.dropped_secret_settings;
    let dropped = (!dropped.is_empty()).then(|| {
        format!(
            "removed the secret settings {}: they were meant for another place, set them again",
            dropped.join(" ")
        )
    });
    let cancelled = cancelled(resource.cancelled_calls, &resource.cancelled_call_ids);
    let told: Vec<_> = dropped.into_iter().chain(cancelled).collect();
    (!told.is_empty()).then(|| told.join("\n"))
}

/// Which are set; what they are is never told.
fn secrets(resource: &Resource) -> String {
    let set = resource.secret_settings.iter();
    let lost = &resource.lost_secret_settings;
    let pending = &resource.pending_secret_settings;
    set.map(|name| match (lost.contains(name), pending.contains(name)) {
        (false, false) => format!("{name} is set"),
        (false, true) => format!(
            "{name} is set, and pending: a new one is kept beside it until it is known which of them the resource has"
        ),
        (true, _) => format!(
            "{name} has to be set again: it was given for an earlier registration of the gateway"
        ),
    })
    .collect::<Vec<_>>()
    .join("\n")
}

/// A rule on each line, in the order of what they make.
fn mapping(resource: &Resource) -> String {
    let sorted: BTreeMap<_, _> = resource.mapping.iter().collect();
    let rules = sorted
        .iter()
        .map(|(target, template)| format!("{target} = {template}"));
    rules.collect::<Vec<_>>().join("\n")
}

/// In the order of their names: the same resource always looks the same.
fn settings(resource: &Resource, separator: &str) -> String {
    let sorted: BTreeMap<_, _> = resource.settings.iter().collect();
    sorted
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::tests::{NOW_MS, now};

    #[test]
    fn a_resource_as_a_page_and_as_a_line() {
        let resource = Resource {
            name: "payroll".to_owned(),
            gateway: "web1".to_owned(),
            connector: "local".to_owned(),
            settings: [("b", "2"), ("a", "1")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            created_unix_ms: NOW_MS - 60_000,
            secret_settings: vec!["password".to_owned()],
            ..Resource::default()
        };
        assert_eq!(
            resource.table(now()),
            "resource   payroll\n\
             gateway    web1\n\
             connector  local\n\
             settings   a=1\n           b=2\n\
             secrets    password is set\n\
             made       2027-01-15T07:59:00Z (1 min ago)"
        );
        assert_eq!(
            vec![resource].table(now()),
            "NAME     GATEWAY  CONNECTOR  SETTINGS\n\
             payroll  web1     local      a=1 b=2"
        );
    }
}
