//! `portcullis resource remove`

use clap::Args;
use portcullis_proto::admin::v1::RemoveResourceRequest;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The resource
    name: String,
}

impl RemoveArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let name = self.name;
        context
            .client(ResourcesClient::new)
            .await?
            .remove(RemoveResourceRequest { name: name.clone() })
            .await?;
        if context.json() {
            context.print_json(&json!({ "removed": name }))
        } else {
            context.line(&format!(
                "resource {name} is removed from this server; nothing on it was touched"
            ))
        }
    }
}
