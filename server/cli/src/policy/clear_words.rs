//! `portcullis policy clear-words`

use clap::Args;
use portcullis_proto::admin::v1::ClearWordsRequest;
use portcullis_proto::admin::v1::policy_client::PolicyClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct ClearWordsArgs {}

impl ClearWordsArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(PolicyClient::new).await?;
        let policy = client.clear_words(ClearWordsRequest {}).await?.into_inner();
        context.print(&policy)
    }
}
