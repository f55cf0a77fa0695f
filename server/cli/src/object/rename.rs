//! `portcullis account rename`

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{ObjectClass, Rename};

use crate::admin_cli::call::{CallArgs, Caller};
use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::view::object::class_word;

use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct RenameArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    to: String,
    #[command(flatten)]
    call: CallArgs,
}

impl RenameArgs {
    pub(in crate::admin_cli) async fn run(
        self,
        context: &Context,
        class: ObjectClass,
    ) -> Result<(), CliError> {
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
