//! `portcullis call list`

use clap::Args;
use portcullis_proto::admin::v1::ListQueuedRequest;
use portcullis_proto::admin::v1::calls_client::CallsClient;

use crate::context::Context;
use crate::error::CliError;
use crate::view::QueuedCallList;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Those that have ended, too
    #[arg(long)]
    all: bool,
}

impl ListArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(CallsClient::new).await?;
        let mut calls = Vec::new();
        let mut request = ListQueuedRequest {
            all: self.all,
            ..ListQueuedRequest::default()
        };
        loop {
            let page = client.list_queued(request).await?.into_inner();
            calls.extend(page.calls);
            match calls.last() {
                Some(last) if page.more => request.after = last.sequence,
                _ => return context.print(&QueuedCallList(calls)),
            }
        }
    }
}
