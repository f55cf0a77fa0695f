//! `portcullis account set-password`

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{ObjectClass, SetPassword};

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::input::password::PasswordSource;
use crate::view::detail::class_word;

use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(crate) struct SetPasswordArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    password: PasswordSource,
    /// The password of this user, which nobody has to know
    #[arg(long, value_name = "USER", conflicts_with = "PasswordSource")]
    from_user: Option<String>,
    #[command(flatten)]
    call: CallArgs,
}

impl SetPasswordArgs {
    pub(crate) async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        let sentence = format!("{} {} has a new password", class_word(class), self.target);
        let object = Some(self.target.reference(class));
        // Connected before the prompt: nobody types a password for a server that is not there.
        let mut caller = Caller::new(context, self.target.resource).await?;
        let password = match self.from_user {
            Some(user) => {
                caller = caller.with_password_of(user);
                None
            }
            None => Some(self.password.new_password()?),
        };
        let verb = Verb::SetPassword(SetPassword { object, password });
        caller
            .execute(verb, &self.call)
            .await?
            .print(context, &sentence)
    }
}
