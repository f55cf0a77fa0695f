//! What came of calls that never reached a connector.

use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{
    Failure, FailureKind, Indeterminate, Outcome, SearchEnd, SearchItem,
};

use super::mapping::MappingError;
use super::rotation::RotateError;
use crate::fleet::CallError;
use crate::passwords::PasswordError;
use crate::passwords::digest::DigestError;
use crate::repository::LostSettings;

/// What is wrong with a call before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("the call id is malformed: give 1 to 128 of A-Z a-z 0-9 . _ : -, or none")]
    CallId,
    #[error("the call has no verb, or one that this server does not know")]
    NoVerb,
    #[error(
        "a secret of the call is in its sealed form: give `value`, the server seals it for the gateway"
    )]
    SealedSecret,
    #[error("a search is neither executed nor queued as a call: send it to `Search`")]
    SearchInExecute,
    #[error("`Search` takes a search: send other verbs to `Execute`")]
    OtherThanSearch,
    #[error("a sync is no call of `Execute`: send it to `Sync`")]
    SyncInExecute,
    #[error("`Sync` takes a sync: send other verbs to `Execute`")]
    OtherThanSync,
    #[error(
        "a gateway's own password is changed by `Resources.RotatePassword`, which makes the new one"
    )]
    Rotation,
}

impl Flaw {
    pub(super) fn failure(self) -> Failure {
        Failure {
            kind: FailureKind::Invalid.into(),
            message: self.to_string(),
            ..Failure::default()
        }
    }

    pub(super) fn outcome(self, call_id: String) -> Outcome {
        failed(call_id, self.failure())
    }
}

/// The outcome of a call whose password was not taken; other trouble comes back as it is. Nothing
/// was sent.
pub(super) fn of_password_error(
    call_id: String,
    error: PasswordError,
) -> Result<Outcome, PasswordError> {
    let kind = match &error {
        PasswordError::Refused(_) => FailureKind::Rejected,
        PasswordError::Digest(DigestError::Busy) => FailureKind::Busy,
        _ => return Err(error),
    };
    let failure = Failure {
        kind: kind.into(),
        message: error.to_string(),
        ..Failure::default()
    };
    Ok(failed(call_id, failure))
}

/// Nothing was sent: secret settings have to be given again first.
pub(super) fn lost_settings(lost: &LostSettings) -> Failure {
    Failure {
        kind: FailureKind::Unavailable.into(),
        message: lost.to_string(),
        ..Failure::default()
    }
}

/// Nothing was sent: which password the resource has is not known.
pub(super) fn unsettled(error: &RotateError) -> Failure {
    Failure {
        kind: FailureKind::Unavailable.into(),
        message: format!("{error}; nothing was sent"),
        ..Failure::default()
    }
}

/// Nothing was sent: the mapping of the resource does not let the call be made up.
pub(super) fn unmapped(resource: &str, error: &MappingError) -> Failure {
    Failure {
        kind: FailureKind::Invalid.into(),
        message: format!("the mapping of resource `{resource}`: {error}"),
        ..Failure::default()
    }
}

/// The resource was not reached; nothing has changed there.
pub(super) fn unavailable(error: &CallError) -> Failure {
    Failure {
        kind: FailureKind::Unavailable.into(),
        message: error.to_string(),
        ..Failure::default()
    }
}

/// The end of a search that did not take place.
pub(crate) fn failed_search(failure: Failure) -> SearchItem {
    SearchItem {
        kind: Some(Kind::End(SearchEnd {
            failure: Some(failure),
            ..SearchEnd::default()
        })),
    }
}

/// The outcome of a call that the server itself ends.
pub(super) fn failed_with(call_id: String, kind: FailureKind, message: String) -> Outcome {
    let failure = Failure {
        kind: kind.into(),
        message,
        ..Failure::default()
    };
    failed(call_id, failure)
}

/// The outcome of a call of which nobody knows what became.
pub fn indeterminate(call_id: String, message: &str) -> Outcome {
    Outcome {
        call_id,
        result: Some(OutcomeResult::Indeterminate(Indeterminate {
            message: message.to_owned(),
            ..Indeterminate::default()
        })),
    }
}

/// The outcome of a call of which nothing was sent.
pub(super) fn failed(call_id: String, failure: Failure) -> Outcome {
    Outcome {
        call_id,
        result: Some(OutcomeResult::Failed(failure)),
    }
}
