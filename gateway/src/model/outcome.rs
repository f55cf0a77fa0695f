//! What comes of a call.

use std::fmt;

use super::{Cookie, Object, RunResult, Schema};

/// What came of a call.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// It was carried out.
    Done(Done),
    /// It was not, and nothing has changed.
    Failed(Failure),
    /// Nobody knows.
    Indeterminate(Indeterminate),
}

/// Why nobody knows what came of a call. Never holds a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indeterminate {
    /// Why, and what to look at.
    pub message: String,
    /// What was seen before the call and in a look afterwards, a sentence each.
    pub evidence: Vec<String>,
    /// The resource could not be looked at, and a look later may tell more.
    pub look_again: bool,
}

impl From<String> for Indeterminate {
    fn from(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }
}

/// What a call that was carried out answers.
#[derive(Debug, PartialEq)]
pub enum Done {
    /// Nothing to tell.
    Nothing,
    /// The object as it now is.
    Object(Box<Object>),
    /// What the connector can hold and do.
    Schema(Schema),
    /// What an action answered.
    Run(RunResult),
    /// A sentence for people.
    Report(String),
}

/// One step of a search.
#[derive(Debug, PartialEq)]
pub enum SearchEvent {
    /// An object found.
    Found(Box<Object>),
    /// The last event: where the next page starts, and why the search ended early, if it did.
    End(Cookie, Option<Failure>),
}

/// Why a call was not carried out. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose concern it is.
    pub kind: FailureKind,
    /// What was wrong, where, and what to do. Never holds a secret.
    pub message: String,
}

/// Whose concern a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The call is malformed or holds an invalid value.
    Invalid,
    /// There is no such object, connector or action.
    NotFound,
    /// The name or id is taken.
    AlreadyExists,
    /// A guard rail forbids it.
    Refused,
    /// The connector does not have this verb, class or attribute.
    Unsupported,
    /// The password is wrong, or the account may not log in.
    BadCredentials,
    /// The resource did not answer or its tools are not there; nothing was begun.
    Unavailable,
    /// The resource's own rules said no.
    Rejected,
    /// A limit was reached before anything was begun.
    Busy,
    /// The gateway's own fault.
    Internal,
    /// A look found that the call was not begun, and it will not be any more.
    NotBegun,
    /// Nobody remembers that far back: the journal a call, the resource a
    /// [`SyncToken`](super::SyncToken).
    Forgotten,
}

impl FailureKind {
    /// The spelling of the script protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::BadCredentials => "bad-credentials",
            Self::Unavailable => "unavailable",
            Self::Rejected => "rejected",
            Self::Busy => "busy",
            Self::Internal => "internal",
            Self::NotBegun => "not-begun",
            Self::Forgotten => "forgotten",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Whether it says that there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.kind == FailureKind::NotFound
    }

    /// Whether it says that the connector cannot do what was asked.
    pub fn is_unsupported(&self) -> bool {
        self.kind == FailureKind::Unsupported
    }

    /// The call is malformed or holds an invalid value.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, message)
    }

    /// There is no such object.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, message)
    }

    /// The connector does not have this.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unsupported, message)
    }

    /// The resource cannot be worked on now; nothing was begun.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unavailable, message)
    }

    /// The resource's own rules said no.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Rejected, message)
    }

    /// The gateway's own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Internal, message)
    }
}

/// Why a connector has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Nothing has changed.
    Failed(Failure),
    /// Nobody knows; the text says why, and what to look at.
    Indeterminate(String),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Result<Done, CallError>> for Outcome {
    fn from(result: Result<Done, CallError>) -> Self {
        match result {
            Ok(done) => Self::Done(done),
            Err(CallError::Failed(failure)) => Self::Failed(failure),
            Err(CallError::Indeterminate(message)) => Self::Indeterminate(message.into()),
        }
    }
}
