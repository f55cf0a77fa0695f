//! `portcullis resource set`

use clap::Args;
use portcullis_proto::admin::v1::SetResourceRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::input::assignment::Setting;

use super::settings;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct SetArgs {
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
}

impl SetArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = SetResourceRequest {
            name: self.name,
            gateway: self.change.gateway,
            connector: self.change.connector,
            settings: settings(self.change.set)?,
        };
        let resource = context.resources().await?.set(request).await?.into_inner();
        context.print(&resource)
    }
}
