//! `portcullis account enable`

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Enable, ObjectClass};

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::view::detail::class_word;

use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    call: CallArgs,
}

impl EnableArgs {
    pub(crate) async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        let verb = Verb::Enable(Enable {
            object: Some(self.target.reference(class)),
        });
        let sentence = format!("{} {} is enabled", class_word(class), self.target);
        Caller::new(context, self.target.resource)
            .await?
            .execute(verb, &self.call)
            .await?
            .print(context, &sentence)
    }
}
