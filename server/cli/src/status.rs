//! `portcullis status`

use clap::Args;
use portcullis_proto::admin::v1::StatusRequest;
use portcullis_proto::admin::v1::system_client::SystemClient;

use super::context::Context;
use super::error::CliError;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {}

impl StatusArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let status = context
            .client(SystemClient::new)
            .await?
            .status(StatusRequest {})
            .await?
            .into_inner();
        context.print(&status)
    }
}
