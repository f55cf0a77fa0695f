//! `portcullis user show`

use clap::Args;
use portcullis_proto::admin::v1::ShowUserRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ShowArgs {
    /// The user
    name: String,
}

impl ShowArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = ShowUserRequest { name: self.name };
        let user = context.users().await?.show(request).await?.into_inner();
        context.print(&user)
    }
}
