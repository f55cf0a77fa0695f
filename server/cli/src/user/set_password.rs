//! `portcullis user set-password`

use clap::Args;
use portcullis_proto::admin::v1::SetUserPasswordRequest;
use portcullis_proto::admin::v1::users_client::UsersClient;

use crate::context::Context;
use crate::error::CliError;
use crate::input::password::PasswordSource;

#[derive(Debug, Args)]
pub(crate) struct SetPasswordArgs {
    /// The user
    name: String,
    #[command(flatten)]
    password: PasswordSource,
}

impl SetPasswordArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        // Connected before the prompt: nobody types a password for a server that is not there.
        let mut users = context.client(UsersClient::new).await?;
        let request = SetUserPasswordRequest {
            name: self.name,
            password: Some(self.password.new_password()?),
        };
        let user = users.set_password(request).await?.into_inner();
        context.print(&user)
    }
}
