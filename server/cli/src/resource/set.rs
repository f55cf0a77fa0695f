//! `portcullis resource set`

use std::path::PathBuf;

use clap::Args;
use portcullis_proto::admin::v1::SetResourceRequest;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;
use portcullis_proto::gateway::v1::SecretSetting;

use crate::context::Context;
use crate::error::CliError;
use crate::input::assignment::{SecretFile, Setting};
use crate::input::password::{ask_secret, read_secret_file};

use super::settings;

/// The secret setting that `--password` is about.
const PASSWORD: &str = "password";

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The resource
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct ChangeArgs {
    /// The gateway that reaches it from now on
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// The connector, by its name in that gateway's configuration
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// A setting to add or change; an empty VALUE removes it. The others stay as they are
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Setting>,
    /// Ask for the secret setting `password`, which is stored sealed and handed to the connector with each call
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
}

impl SetArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        // Connected before any prompt: nobody types a password for a server that is not there.
        let mut resources = context.client(ResourcesClient::new).await?;
        let secret_settings = self.change.secrets()?;
        let request = SetResourceRequest {
            secret_settings,
            name: self.name,
            gateway: self.change.gateway,
            connector: self.change.connector,
            settings: settings(self.change.set)?,
        };
        let resource = resources.set(request).await?.into_inner();
        context.print(&resource)
    }
}

impl ChangeArgs {
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
