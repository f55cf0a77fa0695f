//! `portcullis gateway restore`

use clap::Args;
use portcullis_proto::admin::v1::RestoreGatewayRequest;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;

use crate::context::Context;
use crate::error::CliError;

use super::token::TokenOutput;

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The gateway's name
    name: String,
    #[command(flatten)]
    output: TokenOutput,
}

impl RestoreArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let sink = self.output.prepare()?;
        let answer = context
            .client(GatewaysClient::new)
            .await?
            .restore(RestoreGatewayRequest { name: self.name })
            .await?
            .into_inner();
        sink.hand_over(context, answer.gateway, answer.token)
    }
}
