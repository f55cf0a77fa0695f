//! `portcullis run`: an action that the gateway's configuration allows.

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{ObjectClass, Run};

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::input::assignment::{Assignment, SecretFile};
use crate::input::typing::{Typing, secret_attributes};

const EXAMPLES: &str = "\
Exit codes: 4 where the action ran and ended with a code other than 0, which the answer tells.

Examples:
  portcullis run host1-scripts reload-mail
  portcullis run host1-scripts quota --arg user=ada --arg megabytes:int=500 --pass-exit-code";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// The resource
    resource: String,
    /// One of the actions that `portcullis resource schema` lists
    action: String,
    /// An argument of the action, as text or with a type; repeat it for several values
    #[arg(long = "arg", value_name = "NAME[:TYPE]=VALUE")]
    arguments: Vec<Assignment>,
    /// A secret argument, read from a file
    #[arg(long, value_name = "NAME=FILE")]
    secret_file: Vec<SecretFile>,
    /// Where the action ends with a code from 1 to 255, end with it too, in place of 4
    #[arg(long)]
    pass_exit_code: bool,
    #[command(flatten)]
    call: CallArgs,
}

impl RunArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        // An action's arguments are in no schema: they are text unless a type is given.
        let mut arguments =
            Typing::new(ObjectClass::Unspecified, None).attributes(&self.arguments)?;
        arguments.extend(secret_attributes(&self.secret_file)?);
        let sentence = format!("action {} was run", self.action);
        let verb = Verb::Run(Run {
            action: self.action,
            arguments,
        });
        let mut caller = Caller::new(context, self.resource).await?;
        let answer = caller.execute(verb, &self.call).await?;
        answer.print(context, &sentence)?;
        answer.action_verdict(self.pass_exit_code)
    }
}
