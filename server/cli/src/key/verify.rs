//! `portcullis key verify`

use clap::Args;
use portcullis_proto::admin::v1::VerifyRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;

use crate::context::Context;
use crate::error::CliError;
use crate::task::follow::{Where, started};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    place: Where,
}

impl VerifyArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context
            .client(KeysClient::new)
            .await?
            .verify(VerifyRequest {})
            .await?;
        started(context, answer.into_inner(), self.place).await
    }
}
