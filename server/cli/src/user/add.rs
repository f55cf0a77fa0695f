//! `portcullis user add`

use clap::Args;
use portcullis_proto::admin::v1::AddUserRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct AddArgs {
    /// 1 to 128 of A-Z a-z 0-9 . _ @ + -, beginning with a letter or a digit
    name: String,
}

impl AddArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = AddUserRequest { name: self.name };
        let user = context.users().await?.add(request).await?.into_inner();
        context.print(&user)
    }
}
