//! What a change is about: one object, or each of those that a file names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_host::text;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::{ObjectClass, ObjectRef};

use crate::bulk::InFlight;
use crate::call::{TargetArgs, reference};
use crate::class::Class;
use crate::error::CliError;

/// Bytes of a file with names.
const MAX_NAMES: u64 = 64 << 20;

/// An object of a resource, or each of many.
#[derive(Clone, Debug, Args)]
pub(crate) struct TargetsArgs {
    /// The resource, or @GROUP: each resource of the group
    pub(crate) resource: String,
    #[command(flatten)]
    which: WhichOfManyArgs,
    #[command(flatten)]
    pub(crate) in_flight: InFlight,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichOfManyArgs {
    /// Its name
    name: Option<String>,
    /// Its id on the resource, in place of its name
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// In place of one, each of those that this file names, one name a line
    #[arg(long, value_name = "FILE")]
    each: Option<PathBuf>,
}

impl TargetsArgs {
    /// The objects that are meant.
    pub(crate) fn objects(&self, class: ObjectClass) -> Result<Objects, CliError> {
        let WhichOfManyArgs { name, id, each } = &self.which;
        let (by, phrase) = match (name, id) {
            (Some(name), _) => (By::Name(name.clone()), name.clone()),
            (None, Some(id)) => (By::Id(id.clone()), format!("with id {id}")),
            (None, None) => {
                let path = each.as_deref().unwrap_or(Path::new(""));
                return Objects::named_in(path, class);
            }
        };
        Ok(Objects::One {
            object: reference(class, Some(by)),
            phrase: format!("{} {phrase}", Class::from(class).word()),
        })
    }
}

/// The objects that a change is about.
pub(crate) enum Objects {
    /// This one, in words too; of a new one the call itself has the name.
    One { object: ObjectRef, phrase: String },
    /// Each of these, by their names.
    Each(Vec<(String, ObjectRef)>),
}

impl Objects {
    pub(crate) fn one(target: &TargetArgs, class: ObjectClass) -> Self {
        Self::One {
            object: target.reference(class),
            phrase: target.phrase(class),
        }
    }

    /// A new one.
    pub(crate) fn new(name: &str) -> Self {
        Self::One {
            object: ObjectRef::default(),
            phrase: name.to_owned(),
        }
    }

    fn named_in(path: &Path, class: ObjectClass) -> Result<Self, CliError> {
        let content = text::read_file(path, MAX_NAMES).map_err(CliError::text(path))?;
        let mut seen = HashSet::new();
        let names = text::lines(&content).filter(|(_, name)| !name.is_empty());
        let named = names.map(|(line, name)| {
            if !seen.insert(name) {
                return Err(CliError::Usage(format!(
                    "{}, line {line}: this name stands there before; nothing was sent",
                    path.display()
                )));
            }
            let by = By::Name(name.to_owned());
            Ok((name.to_owned(), reference(class, Some(by))))
        });
        let named: Vec<_> = named.collect::<Result<_, _>>()?;
        if named.is_empty() {
            let problem = format!("{} names nobody", path.display());
            return Err(CliError::Usage(problem));
        }
        Ok(Self::Each(named))
    }
}
