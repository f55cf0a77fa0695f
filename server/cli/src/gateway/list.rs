//! `portcullis gateway list`

use clap::Args;
use portcullis_proto::admin::v1::ListGatewaysRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::view::GatewayList;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ListArgs {
    /// Only gateways in this group; repeat for several
    #[arg(long = "group", value_name = "G")]
    groups: Vec<String>,
}

impl ListArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context
            .gateways()
            .await?
            .list(ListGatewaysRequest {
                groups: self.groups,
            })
            .await?
            .into_inner();
        context.print(&GatewayList(answer.gateways))
    }
}
