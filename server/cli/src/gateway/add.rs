//! `portcullis gateway add`

use clap::Args;
use portcullis_proto::admin::v1::AddGatewayRequest;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;

use crate::context::Context;
use crate::error::CliError;

use super::token::TokenOutput;

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit
    name: String,
    #[command(flatten)]
    way: WayArgs,
    /// Also let it pair in default mode, once, after `portcullis-gateway pair` on its host: for networks where nobody can step in between
    #[arg(long)]
    allow_pairing: bool,
    /// Put it into this group, for pushes of the gateway key; repeat for several
    #[arg(long = "group", value_name = "G")]
    groups: Vec<String>,
    #[command(flatten)]
    output: TokenOutput,
}

/// Who dials.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WayArgs {
    /// The server dials the gateway there; the port is 9278 where none is given
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// The gateway dials the server
    #[arg(long)]
    dial_out: bool,
}

impl AddArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let sink = self.output.prepare()?;
        let answer = context
            .client(GatewaysClient::new)
            .await?
            .add(AddGatewayRequest {
                name: self.name,
                address: self.way.address.unwrap_or_default(),
                dial_out: self.way.dial_out,
                allow_pairing: self.allow_pairing,
                groups: self.groups,
            })
            .await?
            .into_inner();
        sink.hand_over(context, answer.gateway, answer.token)
    }
}
