//! `portcullis key verify`

use clap::Args;
use portcullis_proto::admin::v1::VerifyRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::task::follow::{Where, started};

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct VerifyArgs {
    #[command(flatten)]
    place: Where,
}

impl VerifyArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context.keys().await?.verify(VerifyRequest {}).await?;
        started(context, answer.into_inner(), &self.place).await
    }
}
