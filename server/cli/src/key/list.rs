//! `portcullis key list`

use clap::Args;
use portcullis_proto::admin::v1::ListKeysRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::view::{KeyList, protection_warning};

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ListArgs {}

impl ListArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context
            .keys()
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
