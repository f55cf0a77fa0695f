//! `portcullis policy show`

use clap::Args;
use portcullis_proto::admin::v1::ShowPolicyRequest;
use portcullis_proto::admin::v1::policy_client::PolicyClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {}

impl ShowArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(PolicyClient::new).await?;
        let policy = client.show(ShowPolicyRequest {}).await?.into_inner();
        context.print(&policy)
    }
}
