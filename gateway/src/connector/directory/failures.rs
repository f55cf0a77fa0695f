//! What a directory's refusals mean to whoever made the call: the directory's own words, and whose
//! concern they are.

use super::dialect::Dialect;
use super::fault::{Error, Fault, FaultKind, code, code_name};
use super::message::Answer;
use super::words;
use crate::model::{CallError, Failure, FailureKind, Native, Verb};

/// Of a read: nothing has changed, whatever happened.
pub(crate) fn of_read(dialect: &dyn Dialect, error: &Error) -> Failure {
    match error {
        Error::Refused(answer) => of_answer(dialect, Verb::Get, answer),
        Error::NotBegun(fault) | Error::Unknown(fault) => of_fault(fault),
    }
}

/// Of a change: where no answer came, nobody knows.
pub(crate) fn of_change(dialect: &dyn Dialect, verb: Verb, error: &Error) -> CallError {
    match error {
        Error::Refused(answer) => of_answer(dialect, verb, answer).into(),
        Error::NotBegun(fault) => of_fault(fault).into(),
        Error::Unknown(fault) => CallError::Indeterminate(format!(
            "the request was sent, and no answer came that can be read: {}",
            fault.text
        )),
    }
}

/// Of what came between the gateway and the directory, before anything was begun.
pub(crate) fn of_fault(fault: &Fault) -> Failure {
    let kind = match fault.kind {
        FaultKind::Full => FailureKind::Busy,
        _ => FailureKind::Unavailable,
    };
    Failure::new(kind, fault.text.clone())
}

/// Of a refusal.
pub(crate) fn of_answer(dialect: &dyn Dialect, verb: Verb, answer: &Answer) -> Failure {
    if let Some(failure) = dialect.failure(verb, answer) {
        return failure;
    }
    failure(kind(answer.code), answer, meaning(answer, verb))
}

/// A refusal of this kind, with the words of the gateway and then those of the directory.
pub(crate) fn failure(kind: FailureKind, answer: &Answer, meaning: &str) -> Failure {
    let native = Native::new(answer.code, &answer.text);
    Failure::new(kind, sentence(answer, meaning)).with_native(native)
}

/// What was refused and why, in the words of the gateway and then those of the directory.
fn sentence(answer: &Answer, meaning: &str) -> String {
    let (code, name) = (answer.code, code_name(answer.code));
    let said = words(&answer.text);
    let colon = if said.is_empty() { "" } else { ": " };
    let elsewhere = match answer.referrals.first() {
        Some(url) => format!("; it names {}", words(url)),
        None => String::new(),
    };
    format!("{meaning} ({code} {name}{colon}{said}{elsewhere})")
}

fn kind(code: u32) -> FailureKind {
    match code {
        code::NO_SUCH_OBJECT => FailureKind::NotFound,
        code::ENTRY_ALREADY_EXISTS => FailureKind::AlreadyExists,
        code::UNDEFINED_ATTRIBUTE_TYPE => FailureKind::Unsupported,
        code::NO_SUCH_ATTRIBUTE
        | code::INAPPROPRIATE_MATCHING
        | code::INVALID_ATTRIBUTE_SYNTAX
        | code::ATTRIBUTE_OR_VALUE_EXISTS
        | code::INVALID_DN_SYNTAX
        | code::NAMING_VIOLATION
        | code::OBJECT_CLASS_VIOLATION
        | code::NOT_ALLOWED_ON_RDN
        | code::OBJECT_CLASS_MODS_PROHIBITED => FailureKind::Invalid,
        code::INSUFFICIENT_ACCESS_RIGHTS => FailureKind::Denied,
        code::CONSTRAINT_VIOLATION => FailureKind::Policy,
        code::BUSY | code::ASSERTION_FAILED => FailureKind::Busy,
        code::UNAVAILABLE | code::REFERRAL | code::OPERATIONS_ERROR => FailureKind::Unavailable,
        code::UNAVAILABLE_CRITICAL_EXTENSION | code::PROTOCOL_ERROR => FailureKind::Unsupported,
        _ => FailureKind::Rejected,
    }
}

fn meaning(answer: &Answer, verb: Verb) -> &'static str {
    match answer.code {
        code::OPERATIONS_ERROR => "the directory cannot do this now",
        code::PROTOCOL_ERROR => "the directory does not know the request",
        code::TIME_LIMIT_EXCEEDED => {
            "the directory stopped at its time limit: what it gave is not all"
        }
        code::SIZE_LIMIT_EXCEEDED | code::ADMIN_LIMIT_EXCEEDED => {
            "the directory stopped at its limit: what it gave is not all; give the gateway's identity a higher one, or set `page_size`"
        }
        code::REFERRAL => {
            "this server takes no changes here and names another; list the one that does first in `servers`"
        }
        code::UNAVAILABLE_CRITICAL_EXTENSION => "the directory lacks what the request needs",
        code::NO_SUCH_ATTRIBUTE => "the entry has no such attribute or value",
        code::UNDEFINED_ATTRIBUTE_TYPE => "the directory has no such attribute",
        code::CONSTRAINT_VIOLATION => "a rule of the directory forbids the value",
        code::ATTRIBUTE_OR_VALUE_EXISTS => "the value is there already, or given twice",
        code::INVALID_ATTRIBUTE_SYNTAX => "the value is not of the attribute's syntax",
        code::NO_SUCH_OBJECT if verb == Verb::Create => {
            "the entry below which it was to be made is not there"
        }
        code::NO_SUCH_OBJECT => "the directory has no such entry",
        code::INVALID_DN_SYNTAX => "the directory does not take the entry's name",
        code::INSUFFICIENT_ACCESS_RIGHTS => {
            "the gateway's identity at the directory lacks the right"
        }
        code::BUSY => "the directory is busy: nothing was begun, try again later",
        code::UNAVAILABLE => "the directory is going down, or is not up yet",
        code::UNWILLING_TO_PERFORM => "the directory does not do this",
        code::NAMING_VIOLATION => "the entry cannot have this name",
        code::OBJECT_CLASS_VIOLATION => {
            "the entry lacks an attribute that its classes need, or has one that they do not allow"
        }
        code::NOT_ALLOWED_ON_NON_LEAF => "there are entries below it",
        code::NOT_ALLOWED_ON_RDN => "the value is the entry's name: rename it instead",
        code::ASSERTION_FAILED => {
            "others change the entry again and again meanwhile: try it once more"
        }
        code::ENTRY_ALREADY_EXISTS => "there is an entry of this name already",
        _ => "the directory refused",
    }
}

/// Adds how much of the entry's name is there, where a parent is missing.
pub(crate) fn with_matched(mut failure: Failure, answer: &Answer) -> Failure {
    if answer.code == code::NO_SUCH_OBJECT && failure.kind == FailureKind::NotFound {
        failure.kind = FailureKind::Rejected;
        let matched = words(&answer.matched);
        failure
            .message
            .push_str(&format!("; of its name `{matched}` is there"));
    }
    failure
}
