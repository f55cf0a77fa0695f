//! `portcullis run`

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{ObjectClass, Run};

use super::call::{CallArgs, Caller};
use super::context::Context;
use super::error::CliError;
use super::input::assignment::{Assignment, SecretFile};
use super::input::typing::{Typing, secret_attributes};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
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
    #[command(flatten)]
    call: CallArgs,
}

impl RunArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        // An action's arguments are in no schema: they are text unless a type is given.
        let mut arguments =
            Typing::new(ObjectClass::Unspecified, None).attributes(&self.arguments)?;
        arguments.extend(secret_attributes(&self.secret_file)?);
        let sentence = format!("action {} was run", self.action);
        let verb = Verb::Run(Run {
            action: self.action,
            arguments,
        });
        Caller::new(context, self.resource)
            .await?
            .execute(verb, &self.call)
            .await?
            .print(context, &sentence)
    }
}
