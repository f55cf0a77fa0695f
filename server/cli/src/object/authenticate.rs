//! `portcullis account authenticate`

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{Authenticate, ObjectClass};

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::input::password::PasswordSource;
use crate::view::detail::class_word;

use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(crate) struct AuthenticateArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    password: PasswordSource,
    #[command(flatten)]
    call: CallArgs,
}

impl AuthenticateArgs {
    pub(crate) async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        let sentence = format!(
            "the password is that of {} {}",
            class_word(class),
            self.target
        );
        let object = Some(self.target.reference(class));
        let mut caller = Caller::new(context, self.target.resource).await?;
        let verb = Verb::Authenticate(Authenticate {
            object,
            password: Some(self.password.known_password()?),
        });
        caller
            .execute(verb, &self.call)
            .await?
            .print(context, &sentence)
    }
}
