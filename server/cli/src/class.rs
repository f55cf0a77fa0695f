//! Classes of objects, as they stand on the command line and in answers.

use portcullis_proto::gateway::v1::ObjectClass;

/// A class of objects: accounts, groups, or a further one by the connector's own name of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) class: ObjectClass,
    /// Of a further class only.
    pub(crate) name: String,
}

impl Class {
    /// As it stands in a message.
    pub(crate) fn new(class: ObjectClass, name: &str) -> Self {
        Self {
            class,
            name: name.to_owned(),
        }
    }

    /// By its name on the command line.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "account" => ObjectClass::Account.into(),
            "group" => ObjectClass::Group.into(),
            further => Self::new(ObjectClass::Other, further),
        }
    }

    /// Its name.
    pub(crate) fn word(&self) -> &str {
        match self.class {
            ObjectClass::Account => "account",
            ObjectClass::Group => "group",
            ObjectClass::Other if !self.name.is_empty() => &self.name,
            ObjectClass::Other | ObjectClass::Unspecified => "object",
        }
    }
}

impl From<ObjectClass> for Class {
    fn from(class: ObjectClass) -> Self {
        Self::new(class, "")
    }
}
