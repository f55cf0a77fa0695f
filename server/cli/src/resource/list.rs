//! `portcullis resource list`

use clap::Args;
use portcullis_proto::admin::v1::ListResourcesRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::view::ResourceList;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ListArgs {}

impl ListArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context
            .resources()
            .await?
            .list(ListResourcesRequest {})
            .await?
            .into_inner();
        context.print(&ResourceList(answer.resources))
    }
}
