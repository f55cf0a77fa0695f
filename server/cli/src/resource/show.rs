//! `portcullis resource show`

use clap::Args;
use portcullis_proto::admin::v1::ShowResourceRequest;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The resource
    name: String,
}

impl ShowArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let resource = context
            .client(ResourcesClient::new)
            .await?
            .show(ShowResourceRequest { name: self.name })
            .await?
            .into_inner();
        context.print(&resource)
    }
}
