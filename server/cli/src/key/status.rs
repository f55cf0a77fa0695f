//! `portcullis key status`

use clap::Args;
use portcullis_proto::admin::v1::KeyStatusRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;

use crate::context::Context;
use crate::error::CliError;
use crate::view::KeyStatus;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// List every gateway too: the key it proved last, those sent to it and not proved since
    #[arg(long)]
    gateways: bool,
}

impl StatusArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = KeyStatusRequest {
            gateways: self.gateways,
        };
        let answer = context
            .client(KeysClient::new)
            .await?
            .status(request)
            .await?
            .into_inner();
        context.print(&KeyStatus(answer))
    }
}
