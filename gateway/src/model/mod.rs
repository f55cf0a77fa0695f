//! The data model of a call, checked: what has one of these types is known to be well-formed.
//!
//! The wire's messages are parsed once, in `parse`, and never seen behind it; `encode` turns
//! answers back.

mod encode;
mod filter;
mod name;
mod outcome;
mod parse;
mod roles;
mod value;

pub use filter::{Comparison, Filter, FilterOperation};
pub use name::{ActionName, AttributeName, CallId, ConnectorName, NameError, ObjectId, ObjectName};
pub use outcome::{CallError, Done, Failure, FailureKind, Outcome};
pub use parse::{
    MAX_ATTRIBUTES, MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_VALUES, ModelError, parse_call,
};
pub use roles::{AttributeRole, GuardDefaults, Role, Roles};
pub use value::{Password, Value, ValueType};

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What kind of object a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectClass {
    /// Somebody who can log in, or something that acts as such.
    Account,
    /// A set of accounts.
    Group,
    /// A further class, such as `organizationalUnit`, which the connector of the call names itself.
    /// No such class has a value on the wire yet.
    Other(&'static str),
}

impl ObjectClass {
    /// `account`, `group`, or the connector's own name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Group => "group",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for ObjectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The closed set of what a connector can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Is the connector ready to work?
    Test,
    /// Which classes, attributes, actions and settings there are.
    Schema,
    /// Makes an object.
    Create,
    /// Reads one object.
    Get,
    /// Changes attributes of an object.
    Update,
    /// Removes an object.
    Delete,
    /// Lets an account log in again.
    Enable,
    /// Keeps an account from logging in.
    Disable,
    /// Gives an account a password.
    SetPassword,
    /// Checks a password.
    Authenticate,
    /// Gives an object another name; its id stays.
    Rename,
    /// Finds objects.
    Search,
    /// Runs an action that the gateway's configuration allows.
    Run,
}

impl Verb {
    /// Every verb, in the order of the wire.
    pub const ALL: [Self; 13] = [
        Self::Test,
        Self::Schema,
        Self::Create,
        Self::Get,
        Self::Update,
        Self::Delete,
        Self::Enable,
        Self::Disable,
        Self::SetPassword,
        Self::Authenticate,
        Self::Rename,
        Self::Search,
        Self::Run,
    ];

    /// The spelling of the command line and of the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Schema => "schema",
            Self::Create => "create",
            Self::Get => "get",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::SetPassword => "set-password",
            Self::Authenticate => "authenticate",
            Self::Rename => "rename",
            Self::Search => "search",
            Self::Run => "run",
        }
    }

    /// The verb of this spelling.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// Whether the verb may change the resource: such a call is carried to its end even when its
    /// caller goes away.
    pub const fn changes(self) -> bool {
        !matches!(
            self,
            Self::Test | Self::Schema | Self::Get | Self::Search | Self::Authenticate
        )
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A call, ready to be carried out.
#[derive(Debug)]
pub struct Call {
    /// Chosen by the caller.
    pub id: CallId,
    /// Which of the configured connectors is meant.
    pub connector: ConnectorName,
    /// The resource's settings, as text.
    pub settings: BTreeMap<String, String>,
    /// Those of the resource's settings that are secret.
    pub secret_settings: BTreeMap<String, Password>,
    /// The time that the caller allows; the gateway's own limit is never exceeded.
    pub timeout: Option<Duration>,
    /// What is to be done.
    pub request: Request,
}

/// A verb with all that belongs to it.
#[derive(Debug)]
pub enum Request {
    /// See [`Verb::Test`].
    Test,
    /// See [`Verb::Schema`].
    Schema,
    /// See [`Verb::Create`].
    Create(Create),
    /// See [`Verb::Get`].
    Get(Get),
    /// See [`Verb::Update`].
    Update(Update),
    /// See [`Verb::Delete`].
    Delete(ObjectRef),
    /// See [`Verb::Enable`].
    Enable(ObjectRef),
    /// See [`Verb::Disable`].
    Disable(ObjectRef),
    /// See [`Verb::SetPassword`].
    SetPassword(ObjectRef, Password),
    /// See [`Verb::Authenticate`].
    Authenticate(ObjectRef, Password),
    /// See [`Verb::Rename`].
    Rename(ObjectRef, ObjectName),
    /// See [`Verb::Search`].
    Search(Search),
    /// See [`Verb::Run`].
    Run(Run),
}

impl Request {
    /// The verb without its arguments.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Test => Verb::Test,
            Self::Schema => Verb::Schema,
            Self::Create(_) => Verb::Create,
            Self::Get(_) => Verb::Get,
            Self::Update(_) => Verb::Update,
            Self::Delete(_) => Verb::Delete,
            Self::Enable(_) => Verb::Enable,
            Self::Disable(_) => Verb::Disable,
            Self::SetPassword(..) => Verb::SetPassword,
            Self::Authenticate(..) => Verb::Authenticate,
            Self::Rename(..) => Verb::Rename,
            Self::Search(_) => Verb::Search,
            Self::Run(_) => Verb::Run,
        }
    }

    /// The existing object that the call is about, if it is about one.
    pub const fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::Get(Get { object, .. })
            | Self::Update(Update { object, .. })
            | Self::Delete(object)
            | Self::Enable(object)
            | Self::Disable(object)
            | Self::SetPassword(object, _)
            | Self::Authenticate(object, _)
            | Self::Rename(object, _) => Some(object),
            Self::Test | Self::Schema | Self::Create(_) | Self::Search(_) | Self::Run(_) => None,
        }
    }
}

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

/// What [`Verb::Create`] makes.
#[derive(Debug)]
pub struct Create {
    /// Its class.
    pub class: ObjectClass,
    /// Its name.
    pub name: ObjectName,
    /// Its attributes; no name occurs twice.
    pub attributes: Vec<Attribute>,
    /// The first password; only on an account.
    pub password: Option<Password>,
    /// Whether it may log in at once; only on an account.
    pub enabled: bool,
}

/// What [`Verb::Get`] reads.
#[derive(Debug)]
pub struct Get {
    /// Which object.
    pub object: ObjectRef,
    /// The attributes wanted; empty: those that the schema returns by default.
    pub attributes: Vec<AttributeName>,
}

/// What [`Verb::Update`] changes.
#[derive(Debug)]
pub struct Update {
    /// Which object.
    pub object: ObjectRef,
    /// At least one, carried out in this order.
    pub modifications: Vec<Modification>,
}

/// One change of one attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Modification {
    /// What happens to the values.
    pub operation: Operation,
    /// The attribute.
    pub name: AttributeName,
    /// The values; empty only with [`Operation::Replace`].
    pub values: Vec<Value>,
}

/// What a modification does with its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Adds them; those already there stay.
    Add,
    /// Takes them away; those not there do not matter.
    Remove,
    /// Puts them in the place of all present values.
    Replace,
}

impl Operation {
    /// `add`, `remove` or `replace`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Replace => "replace",
        }
    }
}

/// What [`Verb::Search`] looks for.
#[derive(Clone, Debug)]
pub struct Search {
    /// The class.
    pub class: ObjectClass,
    /// Which of its objects; `None`: all.
    pub filter: Option<Filter>,
    /// The attributes wanted; empty: those that the schema returns by default.
    pub attributes: Vec<AttributeName>,
    /// Objects a page; `None`: all at once.
    pub page_size: Option<usize>,
    /// Where to go on; empty: from the start.
    pub cookie: Cookie,
}

/// The place in a search where the next page starts. Only the connector that made it knows what it
/// means.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Cookie(Vec<u8>);

impl Cookie {
    /// Bytes in a cookie at the most.
    pub const MAX_LEN: usize = 1024;

    /// A cookie of these bytes; `None` where they are more than [`Cookie::MAX_LEN`].
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= Self::MAX_LEN).then_some(Self(bytes))
    }

    /// Whether it stands for the start, or in an answer for the end.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({} bytes)", self.0.len())
    }
}

/// What [`Verb::Run`] runs.
#[derive(Debug)]
pub struct Run {
    /// The action's name.
    pub action: ActionName,
    /// Its arguments; no name occurs twice.
    pub arguments: Vec<Attribute>,
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
    /// Whether a read returns it unasked.
    pub returned_by_default: bool,
    /// What it is, for people.
    pub description: String,
}

/// What an action answered.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// The exit code of what ran.
    pub exit_code: i32,
    /// What it returned.
    pub results: Vec<Attribute>,
}
