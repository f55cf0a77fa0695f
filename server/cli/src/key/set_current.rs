//! `portcullis key set-current`

use clap::Args;
use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::SetCurrentKeyRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::view::KeyList;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct SetCurrentArgs {
    /// The server key, as `portcullis key list` shows it
    id: KeyId,
}

impl SetCurrentArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = SetCurrentKeyRequest {
            key_id: self.id.to_string(),
        };
        let key = context.keys().await?.set_current(request).await?;
        context.print(&KeyList(vec![key.into_inner()]))
    }
}
