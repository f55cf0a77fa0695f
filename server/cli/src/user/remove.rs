//! `portcullis user remove`

use clap::Args;
use portcullis_proto::admin::v1::RemoveUserRequest;
use portcullis_proto::admin::v1::users_client::UsersClient;
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The user
    name: String,
}

impl RemoveArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let name = self.name;
        let request = RemoveUserRequest { name: name.clone() };
        context
            .client(UsersClient::new)
            .await?
            .remove(request)
            .await?;
        if context.json() {
            context.print_json(&json!({ "removed": name }))
        } else {
            context.line(&format!(
                "user {name} is removed, with password, history and answers; no account was touched"
            ))
        }
    }
}
