//! `portcullis resource test`

use clap::Args;
use portcullis_proto::gateway::v1::Test;
use portcullis_proto::gateway::v1::call::Verb;

use crate::admin_cli::call::{CallArgs, Caller};
use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct TestArgs {
    /// The resource
    name: String,
    #[command(flatten)]
    call: CallArgs,
}

impl TestArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let sentence = format!("resource {} is ready to work", self.name);
        Caller::new(context, self.name)
            .await?
            .execute(Verb::Test(Test {}), &self.call)
            .await?
            .print(context, &sentence)
    }
}
