//! `portcullis account rename`

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{ObjectClass, Rename};

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::view::detail::class_word;

use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    to: String,
    #[command(flatten)]
    call: CallArgs,
}

impl RenameArgs {
    pub(crate) async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        let sentence = format!("{} {} is now {}", class_word(class), self.target, self.to);
        let verb = Verb::Rename(Rename {
            object: Some(self.target.reference(class)),
            new_name: self.to,
        });
        Caller::new(context, self.target.resource)
            .await?
            .execute(verb, &self.call)
            .await?
            .print(context, &sentence)
    }
}
