//! `portcullis policy show`

use clap::Args;
use portcullis_proto::admin::v1::ShowPolicyRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ShowArgs {}

impl ShowArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.policy().await?;
        let policy = client.show(ShowPolicyRequest {}).await?.into_inner();
        context.print(&policy)
    }
}
