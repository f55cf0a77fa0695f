//! `portcullis policy clear-words`

use clap::Args;
use portcullis_proto::admin::v1::ClearWordsRequest;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ClearWordsArgs {}

impl ClearWordsArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.policy().await?;
        let policy = client.clear_words(ClearWordsRequest {}).await?.into_inner();
        context.print(&policy)
    }
}
