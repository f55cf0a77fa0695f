//! `portcullis resource test`

use clap::Args;
use portcullis_proto::gateway::v1::Test;
use portcullis_proto::gateway::v1::call::Verb;

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The resource
    name: String,
    #[command(flatten)]
    call: CallArgs,
}

impl TestArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let sentence = format!("resource {} is ready to work", self.name);
        Caller::new(context, self.name)
            .await?
            .execute(Verb::Test(Test {}), &self.call)
            .await?
            .print(context, &sentence)
    }
}
