//! `portcullis account update` and `portcullis group update`: other attributes, or other values.

use std::collections::HashSet;

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{
    Attribute, Modification, ModificationOperation, ObjectClass, Update,
};

use crate::call::{CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::fan_out::Change;
use crate::input::assignment::{Assignment, SecretFile};
use crate::input::typing::{Typing, secret_attributes};
use crate::targets::TargetsArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis account update host1-accounts ada --set shell=/bin/bash --clear full_name
  portcullis group update host1-accounts staff --add members=ada --remove members=bob
  portcullis account update hr-db --each moved.txt --set room=42";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    target: TargetsArgs,
    #[command(flatten)]
    changes: ChangeArgs,
    #[command(flatten)]
    call: CallArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct ChangeArgs {
    /// Put this in the place of all the values that the attribute has; repeat it for several
    #[arg(long, visible_alias = "replace", value_name = "NAME[:TYPE]=VALUE")]
    set: Vec<Assignment>,
    /// Add this to the attribute's values
    #[arg(long, value_name = "NAME[:TYPE]=VALUE")]
    add: Vec<Assignment>,
    /// Take this away from the attribute's values
    #[arg(long, value_name = "NAME[:TYPE]=VALUE")]
    remove: Vec<Assignment>,
    /// Remove the attribute, with all its values
    #[arg(long, value_name = "NAME")]
    clear: Vec<String>,
    /// Put a secret, read from a file, in the attribute's place
    #[arg(long, value_name = "NAME=FILE")]
    secret_file: Vec<SecretFile>,
}

impl UpdateArgs {
    pub(crate) async fn run(self, context: &Context, class: ObjectClass) -> Result<(), CliError> {
        self.changes.check()?;
        let change = Change {
            objects: self.target.objects(class)?,
            resource: self.target.resource.clone(),
            password_of: None,
            args: &self.call,
            in_flight: self.target.in_flight,
            done: "is updated",
        };
        let verb = async |caller: &mut Caller| {
            let typed = self.changes.assignments();
            let typing = caller.typing_for(class, typed, &self.call).await?;
            Ok(Verb::Update(Update {
                object: None,
                modifications: self.changes.modifications(&typing)?,
            }))
        };
        change.tell(context, verb).await
    }
}

impl ChangeArgs {
    /// An attribute that is replaced or cleared is not changed in any other way besides.
    fn check(&self) -> Result<(), CliError> {
        let mut whole: HashSet<&str> = names(&self.set).collect();
        let cleared = self.clear.iter().map(String::as_str);
        let secret = self.secret_file.iter().map(|file| file.name.as_str());
        for name in cleared.chain(secret) {
            if !whole.insert(name) {
                return Err(clash(name));
            }
        }
        match names(&self.add)
            .chain(names(&self.remove))
            .find(|name| whole.contains(name))
        {
            Some(name) => Err(clash(name)),
            None => Ok(()),
        }
    }

    fn assignments(&self) -> impl Iterator<Item = &Assignment> {
        self.set.iter().chain(&self.add).chain(&self.remove)
    }

    fn modifications(&self, typing: &Typing) -> Result<Vec<Modification>, CliError> {
        let mut out = Vec::new();
        for (operation, assignments) in [
            (ModificationOperation::Replace, &self.set),
            (ModificationOperation::Add, &self.add),
            (ModificationOperation::Remove, &self.remove),
        ] {
            let attributes = typing.attributes(assignments)?;
            out.extend(attributes.into_iter().map(|a| modification(operation, a)));
        }
        let secrets = secret_attributes(&self.secret_file)?;
        let cleared = self.clear.iter().map(|name| Attribute {
            name: typing.spelled(name),
            values: Vec::new(),
        });
        out.extend(
            secrets
                .into_iter()
                .chain(cleared)
                .map(|attribute| modification(ModificationOperation::Replace, attribute)),
        );
        Ok(out)
    }
}

fn names(assignments: &[Assignment]) -> impl Iterator<Item = &str> {
    assignments
        .iter()
        .map(|assignment| assignment.to.name.as_str())
}

fn clash(name: &str) -> CliError {
    CliError::Usage(format!(
        "`{name}` is changed in two ways at once: --set, --secret-file and --clear each replace all that it has"
    ))
}

fn modification(operation: ModificationOperation, attribute: Attribute) -> Modification {
    Modification {
        operation: operation.into(),
        name: attribute.name,
        values: attribute.values,
    }
}
