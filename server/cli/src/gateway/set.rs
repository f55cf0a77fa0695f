//! `portcullis gateway set`

use clap::Args;
use portcullis_proto::admin::v1::SetGatewayRequest;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The gateway's name
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct ChangeArgs {
    /// The server dials the gateway there; the port is 9278 where none is given
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "dial_out")]
    address: Option<String>,
    /// The gateway dials the server
    #[arg(long)]
    dial_out: bool,
    /// Put it into this group; repeat for several
    #[arg(long = "add-group", value_name = "G")]
    add_groups: Vec<String>,
    /// Take it out of this group; repeat for several
    #[arg(long = "remove-group", value_name = "G")]
    remove_groups: Vec<String>,
}

impl SetArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let gateway = context
            .client(GatewaysClient::new)
            .await?
            .set(SetGatewayRequest {
                name: self.name,
                address: self.change.address,
                dial_out: self.change.dial_out,
                add_groups: self.change.add_groups,
                remove_groups: self.change.remove_groups,
            })
            .await?
            .into_inner();
        context.print(&gateway)
    }
}
