//! Which object of which resource.

use std::fmt;

use clap::Args;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::{ObjectClass, ObjectRef};

/// An object of a resource, by its name or its id.
#[derive(Clone, Debug, Args)]
pub(super) struct TargetArgs {
    /// The resource
    pub(super) resource: String,
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichArgs {
    /// Its name
    name: Option<String>,
    /// Its id on the resource, in place of its name
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

impl TargetArgs {
    pub(super) fn reference(&self, class: ObjectClass) -> ObjectRef {
        let by = match (&self.which.name, &self.which.id) {
            (Some(name), _) => Some(By::Name(name.clone())),
            (None, id) => id.clone().map(By::Id),
        };
        ObjectRef {
            object_class: class.into(),
            by,
        }
    }
}

impl fmt::Display for TargetArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.which.name, &self.which.id) {
            (Some(name), _) => f.write_str(name),
            (None, Some(id)) => write!(f, "with id {id}"),
            (None, None) => Ok(()),
        }
    }
}
