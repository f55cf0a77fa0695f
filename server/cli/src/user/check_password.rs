//! `portcullis user check-password`

use clap::Args;
use portcullis_proto::admin::v1::CheckUserPasswordRequest;
use portcullis_proto::admin::v1::users_client::UsersClient;

use crate::context::Context;
use crate::error::CliError;
use crate::input::password::PasswordSource;

use super::print_match;

#[derive(Debug, Args)]
pub(crate) struct CheckPasswordArgs {
    /// The user
    name: String,
    #[command(flatten)]
    password: PasswordSource,
}

impl CheckPasswordArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut users = context.client(UsersClient::new).await?;
        let request = CheckUserPasswordRequest {
            name: self.name.clone(),
            password: Some(self.password.known_password()?),
        };
        let answer = users.check_password(request).await?.into_inner();
        print_match(context, answer, "password", &self.name)
    }
}
