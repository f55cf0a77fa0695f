//! Objects: how a call names one, and how it stands on the resource.

use std::fmt;

use super::{AttributeName, ObjectClass, ObjectId, ObjectName, Value};

/// Which object: by immutable id or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its class.
    pub class: ObjectClass,
    /// How it is named.
    pub by: Selector,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            Selector::Id(id) => write!(f, "the {} with id `{id}`", self.class),
            Selector::Name(name) => write!(f, "{} `{name}`", self.class),
        }
    }
}

impl ObjectRef {
    /// What it is, in a sentence that says that there is none.
    pub fn sought(&self) -> String {
        match &self.by {
            Selector::Id(id) => format!("{} with the id `{id}`", self.class),
            Selector::Name(_) => self.to_string(),
        }
    }
}

/// How a call names an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// By the id, which never changes.
    Id(ObjectId),
    /// By the name, which may.
    Name(ObjectName),
}

/// Who an object is, both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its class.
    pub class: ObjectClass,
    /// Its immutable id.
    pub id: ObjectId,
    /// Its present name.
    pub name: ObjectName,
}

/// An attribute with its values: none means that it is to be absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its name.
    pub name: AttributeName,
    /// Its values, in the caller's order.
    pub values: Vec<Value>,
}

/// An object as it stands on the resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Who it is.
    pub identity: Identity,
    /// Whether it may log in; `None` where the idea does not apply.
    pub enabled: Option<bool>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

impl Object {
    /// The values of an attribute; none where it is absent.
    pub fn values(&self, name: &str) -> &[Value] {
        self.attributes
            .iter()
            .find(|attribute| attribute.name.as_str() == name)
            .map_or(&[], |attribute| &attribute.values)
    }

    /// Leaves only the attributes in `wanted`, or all where that is empty.
    pub fn retain(&mut self, wanted: &[AttributeName]) {
        if !wanted.is_empty() {
            self.attributes
                .retain(|attribute| wanted.contains(&attribute.name));
        }
    }
}
