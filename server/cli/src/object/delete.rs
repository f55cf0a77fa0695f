//! `portcullis account delete` and `portcullis group delete`

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Delete, ObjectClass};

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::view::detail::class_word;

use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    call: CallArgs,
}

impl DeleteArgs {
    pub(crate) async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        let verb = Verb::Delete(Delete {
            object: Some(self.target.reference(class)),
        });
        let sentence = format!("{} {} is deleted", class_word(class), self.target);
        Caller::new(context, self.target.resource)
            .await?
            .execute(verb, &self.call)
            .await?
            .print(context, &sentence)
    }
}
