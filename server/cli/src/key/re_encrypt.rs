//! `portcullis key re-encrypt`

use clap::Args;
use portcullis_proto::admin::v1::ReEncryptRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::task::follow::{Where, started};
use crate::tasks::ReEncrypt;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ReEncryptArgs {
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
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        // A wrong name is said before anything is connected.
        let job =
            ReEncrypt::named(self.types).map_err(|error| CliError::usage(error.to_string()))?;
        let request = ReEncryptRequest {
            types: job.types,
            dry_run: self.dry_run,
        };
        let answer = context.keys().await?.re_encrypt(request).await?;
        started(context, answer.into_inner(), &self.place).await
    }
}
