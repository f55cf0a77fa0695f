//! `portcullis key re-encrypt`

use clap::Args;
use portcullis_proto::admin::v1::ReEncryptRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::task::follow::{Where, started};
use crate::repository::ProtectedType;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ReEncryptArgs {
    /// Only values of this type; repeat it for several. All where none is given
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<ProtectedType>,
    /// Say how many values would be encrypted anew, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
}

impl ReEncryptArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let types = self.types.iter().map(|kind| kind.name().to_owned());
        let request = ReEncryptRequest {
            types: types.collect(),
            dry_run: self.dry_run,
        };
        let answer = context.keys().await?.re_encrypt(request).await?;
        started(context, answer.into_inner(), &self.place).await
    }
}
