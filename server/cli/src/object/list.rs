//! `portcullis account list` and `portcullis group list`

use clap::Args;
use portcullis_proto::gateway::v1::ObjectClass;

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;

use super::search::{PageArgs, print_found};

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The resource
    resource: String,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    call: CallArgs,
}

impl ListArgs {
    pub(crate) async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        let caller = Caller::new(context, self.resource).await?;
        print_found(context, caller, self.page.search(class, None), &self.call).await
    }
}
