//! `portcullis gateway restore`

use clap::Args;
use portcullis_proto::admin::v1::RestoreGatewayRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

use super::token::TokenOutput;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct RestoreArgs {
    /// The gateway's name
    name: String,
    #[command(flatten)]
    output: TokenOutput,
}

impl RestoreArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let sink = self.output.prepare()?;
        let answer = context
            .gateways()
            .await?
            .restore(RestoreGatewayRequest { name: self.name })
            .await?
            .into_inner();
        sink.hand_over(context, answer.gateway, answer.token)
    }
}
