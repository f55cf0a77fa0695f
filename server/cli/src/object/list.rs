//! `portcullis account list` and `portcullis group list`

use clap::Args;
use portcullis_proto::gateway::v1::ObjectClass;

use crate::admin_cli::call::{CallArgs, Caller};
use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

use super::search::{PageArgs, print_found};

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ListArgs {
    /// The resource
    resource: String,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    call: CallArgs,
}

impl ListArgs {
    pub(in crate::admin_cli) async fn run(
        self,
        context: &Context,
        class: ObjectClass,
    ) -> Result<(), CliError> {
        let caller = Caller::new(context, self.resource).await?;
        print_found(context, caller, self.page.search(class, None), &self.call).await
    }
}
