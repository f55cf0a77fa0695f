//! What a connector says that it can hold and do, and what its actions answer.

use super::{Attribute, ObjectClass, ValueType, Verb};

/// What a connector can hold and do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// One for each class that it knows.
    pub classes: Vec<ClassSchema>,
    /// The actions that [`Verb::Run`] takes.
    pub actions: Vec<String>,
    /// The settings that a resource may have.
    pub settings: Vec<String>,
}

/// What a connector knows of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSchema {
    /// The class.
    pub class: ObjectClass,
    /// Its attributes.
    pub attributes: Vec<AttributeSchema>,
    /// The verbs that work on it.
    pub verbs: Vec<Verb>,
}

/// What a connector knows of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeSchema {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub value_type: ValueType,
    /// Whether it may have several.
    pub multi_valued: bool,
    /// Whether a create must give it.
    pub required: bool,
    /// Whether a create may give it.
    pub creatable: bool,
    /// Whether an update may change it.
    pub updatable: bool,
    /// Whether a read can return it at all.
    pub readable: bool,
    /// Whether a read returns it unasked.
    pub returned_by_default: bool,
    /// The target's own syntax, such as the OID of an LDAP syntax, or `varchar(64)`; may be empty.
    pub syntax: String,
    /// The target's own name of that type, such as `Directory String`; may be empty.
    pub source: String,
    /// What it is, for people.
    pub description: String,
}

impl AttributeSchema {
    /// A single-valued attribute that can be read, created and updated, and that nothing more is
    /// known of.
    pub fn new(name: impl Into<String>, value_type: ValueType) -> Self {
        Self {
            name: name.into(),
            value_type,
            multi_valued: false,
            required: false,
            creatable: true,
            updatable: true,
            readable: true,
            returned_by_default: true,
            syntax: String::new(),
            source: String::new(),
            description: String::new(),
        }
    }
}

/// What an action answered.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// The exit code of what ran.
    pub exit_code: i32,
    /// What it returned.
    pub results: Vec<Attribute>,
}
