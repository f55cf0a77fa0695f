//! `portcullis resource schema`

use clap::Args;
use portcullis_proto::gateway::v1::GetSchema;
use portcullis_proto::gateway::v1::call::Verb;

use crate::admin_cli::call::{CallArgs, Caller};
use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct SchemaArgs {
    /// The resource
    name: String,
    #[command(flatten)]
    call: CallArgs,
}

impl SchemaArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        Caller::new(context, self.name)
            .await?
            .execute(Verb::Schema(GetSchema {}), &self.call)
            .await?
            .print(context, "the connector declares nothing")
    }
}
