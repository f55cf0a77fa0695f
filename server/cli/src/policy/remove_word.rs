//! `portcullis policy remove-word`

use clap::Args;
use portcullis_proto::admin::v1::RemoveWordRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct RemoveWordArgs {
    /// The word, in any case
    word: String,
}

impl RemoveWordArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.policy().await?;
        let request = RemoveWordRequest { word: self.word };
        let policy = client.remove_word(request).await?.into_inner();
        context.print(&policy)
    }
}
