//! `portcullis key set-current`

use clap::Args;
use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::SetCurrentKeyRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;

use crate::context::Context;
use crate::error::CliError;
use crate::view::KeyList;

#[derive(Debug, Args)]
pub(crate) struct SetCurrentArgs {
    /// The server key, as `portcullis key list` shows it
    id: KeyId,
}

impl SetCurrentArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = SetCurrentKeyRequest {
            key_id: self.id.to_string(),
        };
        let key = context
            .client(KeysClient::new)
            .await?
            .set_current(request)
            .await?;
        context.print(&KeyList(vec![key.into_inner()]))
    }
}
