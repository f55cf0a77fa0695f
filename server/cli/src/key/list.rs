//! `portcullis key list`

use clap::Args;
use portcullis_proto::admin::v1::ListKeysRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;

use crate::context::Context;
use crate::error::CliError;
use crate::view::{KeyList, protection_warning};

#[derive(Debug, Args)]
pub(crate) struct ListArgs {}

impl ListArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context
            .client(KeysClient::new)
            .await?
            .list(ListKeysRequest {})
            .await?
            .into_inner();
        if let Some(warning) = answer.protection.as_ref().and_then(protection_warning) {
            context.note(warning);
        }
        context.print(&KeyList(answer.keys))
    }
}
