//! Calls: a verb with all that belongs to it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use portcullis_watch::traces::Trace;

use super::{
    ActionName, Attribute, AttributeName, CallId, ConnectorName, Filter, ObjectClass, ObjectName,
    ObjectRef, Password, SyncSince, Value, Verb,
};
use crate::moment::NotAfter;

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
    /// Nothing is begun: what became of the call is asked for.
    pub look: bool,
    /// The journal may lack a call that was begun.
    pub journal_lost: bool,
    /// How long ago the server took the call on.
    pub accepted_ago: Duration,
    /// Where it changes something, when it may be begun at the latest.
    pub not_after: NotAfter,
    /// The trace that it belongs to; nothing depends on it.
    pub trace: Trace,
    /// What is to be done.
    pub request: Request,
}

/// A verb with all that belongs to it.
#[derive(Clone, Debug)]
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
    Authenticate(LogIn),
    /// See [`Verb::Rename`].
    Rename(ObjectRef, ObjectName),
    /// See [`Verb::Search`].
    Search(Search),
    /// See [`Verb::Run`].
    Run(Run),
    /// See [`Verb::Sync`].
    Sync(SyncSince),
    /// See [`Verb::RotatePassword`].
    RotatePassword(Rotation),
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
            Self::Sync(_) => Verb::Sync,
            Self::RotatePassword(_) => Verb::RotatePassword,
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
            | Self::Authenticate(LogIn { object, .. })
            | Self::Rename(object, _) => Some(object),
            Self::Test
            | Self::Schema
            | Self::Create(_)
            | Self::Search(_)
            | Self::Run(_)
            | Self::Sync(_)
            | Self::RotatePassword(_) => None,
        }
    }
}

/// What [`Verb::Authenticate`] tries.
#[derive(Clone, Debug)]
pub struct LogIn {
    /// Whose password it is to be.
    pub object: ObjectRef,
    /// The password.
    pub password: Password,
    /// Whether the caller is told that there is no such account, and that a password was sent of
    /// which nobody knows the answer.
    pub tells_apart: bool,
}

/// What [`Verb::RotatePassword`] changes.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The secret setting with the password as it was before.
    pub setting: String,
    /// The new one.
    pub password: Password,
}

/// What [`Verb::Create`] makes.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct Get {
    /// Which object.
    pub object: ObjectRef,
    /// The attributes wanted; empty: those that the schema returns by default.
    pub attributes: Vec<AttributeName>,
}

/// What [`Verb::Update`] changes.
#[derive(Clone, Debug)]
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
    /// Bytes in a connector's cookie at the most.
    pub const MAX_LEN: usize = 1024;
    /// Bytes at the most in one that a server has, which holds the connector's and more.
    const MAX_SEALED_LEN: usize = Self::MAX_LEN + 64;

    /// A cookie of these bytes; `None` where they are more than [`Cookie::MAX_LEN`].
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= Self::MAX_LEN).then_some(Self(bytes))
    }

    /// A cookie as a server has it; `None` where it is too long for one.
    pub(crate) fn from_server(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= Self::MAX_SEALED_LEN).then_some(Self(bytes))
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
#[derive(Clone, Debug)]
pub struct Run {
    /// The action's name.
    pub action: ActionName,
    /// Its arguments; no name occurs twice.
    pub arguments: Vec<Attribute>,
}
