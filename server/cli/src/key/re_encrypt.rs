//! `portcullis key re-encrypt`

use clap::Args;
use portcullis_proto::admin::v1::ReEncryptRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;

use crate::context::Context;
use crate::error::CliError;
use crate::task::follow::{Where, started};

#[derive(Debug, Args)]
pub(crate) struct ReEncryptArgs {
    /// Only values of this type; repeat it for several. All where none is given, but not `server-key`: that wraps the server
    /// keys themselves anew, under a fresh storage secret that the same secret opens
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Say how many values would be encrypted anew, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
}

impl ReEncryptArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = ReEncryptRequest {
            types: self.types,
            dry_run: self.dry_run,
        };
        let answer = context
            .client(KeysClient::new)
            .await?
            .re_encrypt(request)
            .await?;
        started(context, answer.into_inner(), self.place).await
    }
}
