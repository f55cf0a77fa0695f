//! `portcullis account disable`

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Disable, ObjectClass};

use crate::admin_cli::call::{CallArgs, Caller};
use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::view::object::class_word;

use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct DisableArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    call: CallArgs,
}

impl DisableArgs {
    pub(in crate::admin_cli) async fn run(
        self,
        context: &Context,
        class: ObjectClass,
    ) -> Result<(), CliError> {
        let verb = Verb::Disable(Disable {
            object: Some(self.target.reference(class)),
        });
        let sentence = format!("{} {} is disabled", class_word(class), self.target);
        Caller::new(context, self.target.resource)
            .await?
            .execute(verb, &self.call)
            .await?
            .print(context, &sentence)
    }
}
