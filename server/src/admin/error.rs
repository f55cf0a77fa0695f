//! Errors of the layers below as gRPC statuses.

use tonic::Status;

use crate::audit::AuditError;
use crate::fleet::{CallError, RotationError};
use crate::keys::KeyError;
use crate::passwords::PasswordError;
use crate::passwords::digest::DigestError;
use crate::repository::RepositoryError;
use crate::tasks::TaskError;

/// What the repository could not do.
pub(crate) fn of_repository(error: &RepositoryError) -> Status {
    let message = error.to_string();
    match error {
        RepositoryError::AlreadyExists { .. } => Status::already_exists(message),
        RepositoryError::NotFound { .. } | RepositoryError::NoSuchKey(_) => {
            Status::not_found(message)
        }
        RepositoryError::ServerKeyGone(_) | RepositoryError::ProtectionChanged => {
            Status::aborted(message)
        }
        RepositoryError::Busy | RepositoryError::Closed => Status::unavailable(message),
        RepositoryError::Full
        | RepositoryError::Open { .. }
        | RepositoryError::Missing { .. }
        | RepositoryError::NewerSchema { .. }
        | RepositoryError::Damaged(_)
        | RepositoryError::NotScrubbed { .. }
        | RepositoryError::Sealed(_)
        | RepositoryError::Storage(_) => {
            tracing::error!(%error, "the repository failed");
            Status::internal(message)
        }
    }
}

/// Why something was not done, where it could not be audited.
pub(crate) fn of_audit(error: &AuditError) -> Status {
    let message = format!("nothing was done, because it could not be audited: {error}");
    match error {
        AuditError::Repository(_) | AuditError::Head(_) | AuditError::Closed => {
            Status::unavailable(message)
        }
        AuditError::Disputed(_) => Status::failed_precondition(message),
        AuditError::Undisputed => Status::failed_precondition(error.to_string()),
    }
}

/// Why a ping did not come back.
pub(crate) fn of_call(error: &CallError) -> Status {
    match error {
        CallError::Repository(error) => of_repository(error),
        CallError::NotConnected { .. } | CallError::Lost { .. } => {
            Status::unavailable(error.to_string())
        }
    }
}

/// Why a rotation did not take place.
pub(crate) fn of_rotation(error: &RotationError) -> Status {
    match error {
        RotationError::Repository(error) => of_repository(error),
        RotationError::Refused(refusal) => Status::aborted(refusal.to_string()),
    }
}

/// Why the server keys were not changed.
pub(crate) fn of_key(error: &KeyError) -> Status {
    match error {
        KeyError::Repository(error) => of_repository(error),
        KeyError::DoesNotOpen(_) => {
            tracing::error!(%error, "a server key failed");
            Status::internal(error.to_string())
        }
        KeyError::Stopping => Status::unavailable(error.to_string()),
    }
}

/// Why a task was not started, resumed or cancelled.
pub(crate) fn of_task(error: &TaskError) -> Status {
    match error {
        TaskError::Repository(error) => of_repository(error),
        TaskError::AlreadyRunning { .. }
        | TaskError::Ended { .. }
        | TaskError::Done(_)
        | TaskError::Unknown(_) => Status::failed_precondition(error.to_string()),
        TaskError::Empty => Status::invalid_argument(error.to_string()),
        TaskError::Stopping => Status::unavailable(error.to_string()),
    }
}

/// Why a password or an answer was not taken.
pub(crate) fn of_password(error: &PasswordError) -> Status {
    let message = error.to_string();
    match error {
        PasswordError::Repository(error) => of_repository(error),
        PasswordError::Refused(_) | PasswordError::Malformed(_) => {
            Status::invalid_argument(message)
        }
        PasswordError::NoPassword(_) => Status::failed_precondition(message),
        PasswordError::Digest(DigestError::Busy) => Status::resource_exhausted(message),
        PasswordError::Digest(DigestError::Stopping) => Status::unavailable(message),
        PasswordError::Digest(DigestError::Malformed) => {
            tracing::error!(%error, "a stored digest cannot be read");
            Status::internal(message)
        }
    }
}

/// There is no such thing.
pub(crate) fn not_found(kind: &'static str, name: &str) -> Status {
    of_repository(&RepositoryError::NotFound {
        kind,
        name: name.to_owned(),
    })
}
