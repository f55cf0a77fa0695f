//! `portcullis key status`

use clap::Args;
use portcullis_proto::admin::v1::KeyStatusRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::view::KeyStatus;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct StatusArgs {
    /// List every gateway too: the key it proved last, those sent to it and not proved since
    #[arg(long)]
    gateways: bool,
}

impl StatusArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = KeyStatusRequest {
            gateways: self.gateways,
        };
        let answer = context.keys().await?.status(request).await?.into_inner();
        context.print(&KeyStatus(answer))
    }
}
