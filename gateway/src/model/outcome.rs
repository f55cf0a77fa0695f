//! What comes of a call.

use std::fmt;

use bytes::Bytes;

use super::name::is_control;
use super::{Cookie, Object, RunResult, Schema};

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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
    /// Objects that were found, each with a digest in the place of its attributes.
    Listed(Bytes),
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
    /// What the target itself answered, where it did.
    pub native: Option<Native>,
}

/// The target's own words, fit to be shown: bounded, and without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    code: String,
    text: String,
}

impl Native {
    /// Bytes of a code at the most.
    pub const MAX_CODE: usize = 64;
    /// Bytes of a text at the most.
    pub const MAX_TEXT: usize = 1024;

    /// What a target said: the code of its own (an LDAP result code, an SQLSTATE, an exit code) and
    /// its text. What is too long is cut, and control characters are left out. Neither may hold a
    /// secret.
    pub fn new(code: impl fmt::Display, text: &str) -> Self {
        Self {
            code: bounded(&code.to_string(), Self::MAX_CODE),
            text: bounded(text, Self::MAX_TEXT),
        }
    }

    /// The code; may be empty.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The text; may be empty.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn bounded(text: &str, most: usize) -> String {
    let mut out = String::new();
    for part in text.split(is_control).filter(|part| !part.is_empty()) {
        let gap = if out.is_empty() { "" } else { " " };
        for letter in gap.chars().chain(part.chars()) {
            if out.len() + letter.len_utf8() > most {
                return out;
            }
            out.push(letter);
        }
    }
    out
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
    /// The password is wrong, or there is no such account, or it has none.
    BadCredentials,
    /// The resource did not answer or its tools are not there; nothing was begun.
    Unavailable,
    /// The resource's own rules said no.
    Rejected,
    /// A limit was reached before anything was begun.
    Busy,
    /// The gateway's own fault.
    Internal,
    /// The identity by which the gateway works on the resource lacks the right there.
    Denied,
    /// The target's policy refuses a value, mostly a password; the message says which rule.
    Policy,
    /// The account is locked, mostly after too many wrong passwords.
    AccountLocked,
    /// The account is disabled, or has expired.
    AccountDisabled,
    /// The password is right, but has run out or must be changed first.
    PasswordExpired,
    /// A look found that the call was not begun, and it will not be any more.
    NotBegun,
    /// Nobody remembers that far back: the journal a call, the resource a
    /// [`SyncToken`](super::SyncToken).
    Forgotten,
    /// It came too late to be begun: nothing was, and the server may send it again.
    Late,
}

impl FailureKind {
    /// Every kind, in the order of the wire.
    pub const ALL: [Self; 18] = [
        Self::Invalid,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Refused,
        Self::Unsupported,
        Self::BadCredentials,
        Self::Unavailable,
        Self::Rejected,
        Self::Busy,
        Self::Internal,
        Self::Denied,
        Self::Policy,
        Self::AccountLocked,
        Self::AccountDisabled,
        Self::PasswordExpired,
        Self::NotBegun,
        Self::Forgotten,
        Self::Late,
    ];

    /// The kind of this spelling that a resource may answer.
    pub fn from_name(name: &str) -> Option<Self> {
        let known = |kind: &Self| kind.name() == name && *kind != Self::Late;
        Self::ALL.into_iter().find(known)
    }

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
            Self::Denied => "denied",
            Self::Policy => "policy",
            Self::AccountLocked => "account-locked",
            Self::AccountDisabled => "account-disabled",
            Self::PasswordExpired => "password-expired",
            Self::NotBegun => "not-begun",
            Self::Forgotten => "forgotten",
            Self::Late => "late",
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
            native: None,
        }
    }

    /// The same, with what the target itself answered.
    #[must_use]
    pub fn with_native(self, native: Native) -> Self {
        Self {
            native: Some(native),
            ..self
        }
    }

    /// The call came too late to be begun.
    pub fn late() -> Self {
        let message = "the call came too late to be begun: nothing was, and it may be sent again";
        Self::new(FailureKind::Late, message)
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

    /// The gateway's identity lacks the right on the resource.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Denied, message)
    }

    /// The target's policy refuses a value.
    pub fn policy(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Policy, message)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_target_are_bounded_and_steer_no_terminal() {
        let native = Native::new(49, "80090308: \x1b[31mLdapErr\0\r\n\u{202e}data 52e");
        assert_eq!(native.code(), "49");
        assert_eq!(native.text(), "80090308:  [31mLdapErr data 52e");
        for (letter, most) in [("a", Native::MAX_TEXT), ("€", 1023)] {
            let native = Native::new(letter.repeat(99), &letter.repeat(5_000));
            assert_eq!(native.text().len(), most);
            assert!(native.code().len() <= Native::MAX_CODE);
        }
    }

    #[test]
    fn every_kind_has_a_spelling_of_its_own() {
        for kind in FailureKind::ALL {
            let known = Some(kind).filter(|kind| *kind != FailureKind::Late);
            assert_eq!(FailureKind::from_name(kind.name()), known);
        }
        assert_eq!(FailureKind::from_name("unheard-of"), None);
    }
}
