//! `portcullis resource schema`

use clap::Args;
use portcullis_proto::gateway::v1::GetSchema;
use portcullis_proto::gateway::v1::call::Verb;

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// The resource
    name: String,
    #[command(flatten)]
    call: CallArgs,
}

impl SchemaArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        Caller::new(context, self.name)
            .await?
            .execute(Verb::Schema(GetSchema {}), &self.call)
            .await?
            .print(context, "the connector declares nothing")
    }
}
