//! `portcullis policy clear-words`

use clap::Args;
use portcullis_proto::admin::v1::ClearWordsRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ClearWordsArgs {}

impl ClearWordsArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.policy().await?;
        let policy = client.clear_words(ClearWordsRequest {}).await?.into_inner();
        context.print(&policy)
    }
}
