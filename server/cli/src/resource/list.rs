//! `portcullis resource list`

use clap::Args;
use portcullis_proto::admin::v1::ListResourcesRequest;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;

use crate::context::Context;
use crate::error::CliError;
use crate::view::ResourceList;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {}

impl ListArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let answer = context
            .client(ResourcesClient::new)
            .await?
            .list(ListResourcesRequest {})
            .await?
            .into_inner();
        context.print(&ResourceList(answer.resources))
    }
}
