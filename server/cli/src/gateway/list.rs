//! `portcullis gateway list`

use clap::Args;
use portcullis_proto::admin::v1::ListGatewaysRequest;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;

use crate::context::Context;
use crate::error::CliError;
use crate::view::GatewayList;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only gateways in this group; repeat for several
    #[arg(long = "group", value_name = "G")]
    groups: Vec<String>,
}

impl ListArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context
            .client(GatewaysClient::new)
            .await?
            .list(ListGatewaysRequest {
                groups: self.groups,
            })
            .await?
            .into_inner();
        context.print(&GatewayList(answer.gateways))
    }
}
