//! `portcullis user set-password`

use clap::Args;
use portcullis_proto::admin::v1::SetUserPasswordRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::input::password::PasswordSource;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct SetPasswordArgs {
    /// The user
    name: String,
    #[command(flatten)]
    password: PasswordSource,
}

impl SetPasswordArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        // Connected before the prompt: nobody types a password for a server that is not there.
        let mut users = context.users().await?;
        let request = SetUserPasswordRequest {
            name: self.name,
            password: Some(self.password.new_password()?),
        };
        let user = users.set_password(request).await?.into_inner();
        context.print(&user)
    }
}
