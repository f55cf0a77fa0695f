//! `portcullis resource add`

use clap::Args;
use portcullis_proto::admin::v1::AddResourceRequest;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;

use crate::context::Context;
use crate::error::CliError;
use crate::input::assignment::Setting;

use super::settings;

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
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
}

impl AddArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = AddResourceRequest {
            name: self.name,
            gateway: self.gateway,
            connector: self.connector,
            settings: settings(self.set)?,
        };
        let resource = context
            .client(ResourcesClient::new)
            .await?
            .add(request)
            .await?
            .into_inner();
        context.print(&resource)
    }
}
