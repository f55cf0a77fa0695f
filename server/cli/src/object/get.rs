//! `portcullis account get` and `portcullis group get`

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Get, ObjectClass};

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;

use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Show this attribute; repeat it for several. All that the schema returns by default where none is given
    #[arg(long = "attribute", value_name = "NAME")]
    attributes: Vec<String>,
    #[command(flatten)]
    call: CallArgs,
}

impl GetArgs {
    pub(crate) async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        let verb = Verb::Get(Get {
            object: Some(self.target.reference(class)),
            attribute_names: self.attributes,
        });
        Caller::new(context, self.target.resource)
            .await?
            .execute(verb, &self.call)
            .await?
            .print(context, "found")
    }
}
