//! `portcullis resource remove`

use clap::Args;
use portcullis_proto::admin::v1::RemoveResourceRequest;
use serde_json::json;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct RemoveArgs {
    /// The resource
    name: String,
}

impl RemoveArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let name = self.name;
        context
            .resources()
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
