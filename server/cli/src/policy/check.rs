//! `portcullis policy check`

use clap::Args;
use portcullis_proto::admin::v1::CheckPolicyRequest;
use portcullis_proto::admin::v1::policy_client::PolicyClient;
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;
use crate::input::password::PasswordSource;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// As if it were for this user: names and history count
    #[arg(long, value_name = "NAME", conflicts_with_all = ["resource", "account"])]
    user: Option<String>,
    /// As if it were for an account of this resource
    #[arg(long, value_name = "NAME", requires = "account")]
    resource: Option<String>,
    /// The account
    #[arg(long, value_name = "NAME", requires = "resource")]
    account: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
}

impl CheckArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(PolicyClient::new).await?;
        let request = CheckPolicyRequest {
            password: Some(self.password.known_password()?),
            user: self.user.unwrap_or_default(),
            resource: self.resource.unwrap_or_default(),
            account: self.account.unwrap_or_default(),
        };
        let violations = client.check(request).await?.into_inner().violations;
        if !violations.is_empty() {
            return Err(CliError::PolicyBroken { violations });
        }
        if context.json() {
            context.print_json(&json!({ "violations": [] }))
        } else {
            context.line("the password meets the policy")
        }
    }
}
