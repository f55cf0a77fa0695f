//! `portcullis key delete`

use clap::Args;
use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::DeleteKeyRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use tonic::Code;

use crate::context::Context;
use crate::error::CliError;
use crate::input::confirm::confirm;
use crate::view::DeleteView;

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The key's id
    id: KeyId,
    /// Only say what depends on it
    #[arg(long)]
    dry_run: bool,
    /// Whatever depends on it: its values never open again, its gateways have to enrol again
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
    /// With --force: the id again, in place of typing it
    #[arg(long, value_name = "ID", requires = "force")]
    confirm: Option<KeyId>,
}

impl DeleteArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut keys = context.client(KeysClient::new).await?;
        let request = DeleteKeyRequest {
            key_id: self.id.to_string(),
            dry_run: self.dry_run,
            ..DeleteKeyRequest::default()
        };
        let look = DeleteKeyRequest {
            dry_run: true,
            ..request.clone()
        };
        let view = |answer, deleted| DeleteView {
            id: self.id,
            answer,
            deleted,
        };
        if !self.force {
            return match keys.delete(request).await {
                Ok(answer) => context.print(&view(answer.into_inner(), !self.dry_run)),
                Err(status) if status.code() == Code::FailedPrecondition => {
                    // The error says how many, this who.
                    let depends = keys.delete(look).await?.into_inner();
                    context.print(&view(depends, false))?;
                    Err(status.into())
                }
                Err(status) => Err(status.into()),
            };
        }
        if self.confirm.is_none() {
            let depends = keys.delete(look).await?.into_inner();
            context.note(&view(depends, false).summary());
            confirm(
                "What depends on this key is lost with it, unless an export holds it.",
                &self.id.to_string(),
                "--confirm ID",
            )?;
        }
        let answer = keys
            .delete(DeleteKeyRequest {
                force: true,
                confirm_key_id: self.confirm.unwrap_or(self.id).to_string(),
                ..request
            })
            .await?;
        context.print(&view(answer.into_inner(), true))
    }
}
