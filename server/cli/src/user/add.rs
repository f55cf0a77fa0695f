//! `portcullis user add`

use clap::Args;
use portcullis_proto::admin::v1::AddUserRequest;
use portcullis_proto::admin::v1::users_client::UsersClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// 1 to 128 of A-Z a-z 0-9 . _ @ + -, beginning with a letter or a digit
    name: String,
}

impl AddArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = AddUserRequest { name: self.name };
        let user = context
            .client(UsersClient::new)
            .await?
            .add(request)
            .await?
            .into_inner();
        context.print(&user)
    }
}
