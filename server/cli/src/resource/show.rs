//! `portcullis resource show`

use clap::Args;
use portcullis_proto::admin::v1::ShowResourceRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ShowArgs {
    /// The resource
    name: String,
}

impl ShowArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let resource = context
            .resources()
            .await?
            .show(ShowResourceRequest { name: self.name })
            .await?
            .into_inner();
        context.print(&resource)
    }
}
