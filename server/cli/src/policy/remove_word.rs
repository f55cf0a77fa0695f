//! `portcullis policy remove-word`

use clap::Args;
use portcullis_proto::admin::v1::RemoveWordRequest;
use portcullis_proto::admin::v1::policy_client::PolicyClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct RemoveWordArgs {
    /// The word, in any case
    word: String,
}

impl RemoveWordArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(PolicyClient::new).await?;
        let request = RemoveWordRequest { word: self.word };
        let policy = client.remove_word(request).await?.into_inner();
        context.print(&policy)
    }
}
