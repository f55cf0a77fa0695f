//! `portcullis user show`

use clap::Args;
use portcullis_proto::admin::v1::ShowUserRequest;
use portcullis_proto::admin::v1::users_client::UsersClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The user
    name: String,
}

impl ShowArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = ShowUserRequest { name: self.name };
        let user = context
            .client(UsersClient::new)
            .await?
            .show(request)
            .await?
            .into_inner();
        context.print(&user)
    }
}
