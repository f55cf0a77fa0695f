//! Why a request was not carried out, for every front. The text says what to do.

use std::error::Error;

use portcullis_proto::gateway::v1::FailureKind;

use crate::audit::AuditError;
use crate::fleet::{CallError, RotationError};
use crate::keys::transfer::{ExportError, ImportError};
use crate::keys::{DeleteError, KeyError, ProtectError};
use crate::passwords::PasswordError;
use crate::passwords::digest::DigestError;
use crate::provisioning::queue::QueueError;
use crate::provisioning::rotation::RotateError;
use crate::provisioning::{ChangeError, DispatchError};
use crate::repository::{NotDrained, RepositoryError};
use crate::tasks::TaskError;
use crate::withdrawals::NotHeld;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// It names something that is not there.
    #[error("{0}")]
    NotFound(String),
    /// What it would make is there already.
    #[error("{0}")]
    Conflict(String),
    /// It is not what this method takes.
    #[error("{0}")]
    Malformed(String),
    /// The caller may not make it.
    #[error("{0}")]
    Refused(String),
    /// Something else has to be done first.
    #[error("{0}")]
    Precondition(String),
    /// What it goes by has changed since: look again.
    #[error("{0}")]
    Outdated(String),
    /// There is too much of it for now.
    #[error("{0}")]
    Exhausted(String),
    /// Not now: later perhaps.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such method.
    #[error("{0}")]
    Unsupported(String),
    /// The server's own fault.
    #[error("{0}")]
    Internal(String),
    /// The request broke off while it came in; its front knows how.
    #[error(transparent)]
    BrokeOff(Box<dyn Error + Send + Sync>),
}

impl AdminError {
    /// The request is not what this method takes, for this reason.
    pub(super) fn malformed(why: impl ToString) -> Self {
        Self::Malformed(why.to_string())
    }

    /// There is no `kind` of this name.
    pub(super) fn no_such(kind: &'static str, name: &str) -> Self {
        let name = name.to_owned();
        RepositoryError::NotFound { kind, name }.into()
    }
}

impl From<RepositoryError> for AdminError {
    fn from(error: RepositoryError) -> Self {
        let message = error.to_string();
        match error {
            RepositoryError::AlreadyExists { .. } => Self::Conflict(message),
            RepositoryError::NotFound { .. } | RepositoryError::NoSuchKey(_) => {
                Self::NotFound(message)
            }
            RepositoryError::ServerKeyGone(_) | RepositoryError::ProtectionChanged => {
                Self::Outdated(message)
            }
            RepositoryError::Busy
            | RepositoryError::Closed
            | RepositoryError::Away { .. }
            | RepositoryError::TakenOver
            | RepositoryError::WentBack { .. } => Self::Unavailable(message),
            RepositoryError::RowChanged { .. } => {
                tracing::error!(%error, "a record in the repository decides nothing");
                Self::Precondition(message)
            }
            RepositoryError::Full
            | RepositoryError::Open { .. }
            | RepositoryError::Missing { .. }
            | RepositoryError::NewerSchema { .. }
            | RepositoryError::Unsuitable { .. }
            | RepositoryError::Occupied { .. }
            | RepositoryError::Taken { .. }
            | RepositoryError::Moved { .. }
            | RepositoryError::NotCopied { .. }
            | RepositoryError::Damaged(_)
            | RepositoryError::Locked
            | RepositoryError::SchemaPutBack { .. }
            | RepositoryError::SchemaChanged { .. }
            | RepositoryError::NotScrubbed { .. }
            | RepositoryError::Sealed(_)
            | RepositoryError::Storage(_) => {
                tracing::error!(%error, "the repository failed");
                Self::Internal(message)
            }
        }
    }
}

/// Nothing was done, because it could not be audited.
impl From<AuditError> for AdminError {
    fn from(error: AuditError) -> Self {
        let message = format!("nothing was done, because it could not be audited: {error}");
        match error {
            AuditError::Repository(_) | AuditError::Head(_) | AuditError::Closed => {
                Self::Unavailable(message)
            }
            AuditError::Disputed(_) | AuditError::Loss(_) => Self::Precondition(message),
            AuditError::Undisputed => Self::Precondition(error.to_string()),
        }
    }
}

impl From<NotHeld> for AdminError {
    fn from(error: NotHeld) -> Self {
        let message = error.to_string();
        match error {
            NotHeld::By(_) | NotHeld::NoSecret => Self::Precondition(message),
            NotHeld::Unknown(_) => Self::Unavailable(message),
            NotHeld::Repository(error) => error.into(),
        }
    }
}

impl From<CallError> for AdminError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Repository(error) => error.into(),
            CallError::NotConnected { .. }
            | CallError::OtherRegistration { .. }
            | CallError::OtherSession { .. }
            | CallError::Lost { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<RotationError> for AdminError {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Repository(error) => error.into(),
            RotationError::Refused(refusal) => Self::Outdated(refusal.to_string()),
        }
    }
}

impl From<KeyError> for AdminError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Repository(error) => error.into(),
            KeyError::DoesNotOpen(_) => {
                tracing::error!(%error, "a server key failed");
                Self::Internal(error.to_string())
            }
            KeyError::Stopping => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<ProtectError> for AdminError {
    fn from(error: ProtectError) -> Self {
        match error {
            ProtectError::Key(error) => error.into(),
            ProtectError::SecretNeeded(_) | ProtectError::NotProtected => {
                Self::Precondition(error.to_string())
            }
            ProtectError::Protection(_)
            | ProtectError::Pbe(_)
            | ProtectError::DoesNotOpen(_)
            | ProtectError::NotPlaced { .. } => {
                tracing::error!(%error, "the protection failed");
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<ExportError> for AdminError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Key(error) => error.into(),
            ExportError::Nothing | ExportError::TooMany => Self::malformed(error),
            ExportError::Pbe(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<ImportError> for AdminError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Key(error) => error.into(),
            ImportError::File(error) => Self::malformed(error),
            ImportError::Pbe(_) => Self::malformed(error),
            ImportError::Conflict { .. } => Self::Conflict(error.to_string()),
            ImportError::Unproven(_) => Self::Precondition(error.to_string()),
        }
    }
}

impl From<DeleteError> for AdminError {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Key(error) => error.into(),
            DeleteError::CurrentServerKey(_)
            | DeleteError::ValuesDepend { .. }
            | DeleteError::GatewayKey(_) => Self::Precondition(error.to_string()),
        }
    }
}

impl From<NotDrained> for AdminError {
    fn from(error: NotDrained) -> Self {
        match error {
            NotDrained::Unknown(_) => Self::NotFound(error.to_string()),
            NotDrained::Ambiguous { .. }
            | NotDrained::Already(_)
            | NotDrained::NotDrained(_)
            | NotDrained::NoHeir(_)
            | NotDrained::OneServer => Self::Precondition(error.to_string()),
        }
    }
}

impl From<TaskError> for AdminError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Repository(error) => error.into(),
            TaskError::AlreadyRunning { .. }
            | TaskError::Ended { .. }
            | TaskError::Done(_)
            | TaskError::Drained
            | TaskError::Unknown(_) => Self::Precondition(error.to_string()),
            TaskError::Empty => Self::malformed(error),
            TaskError::Stopping | TaskError::NotYet(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<PasswordError> for AdminError {
    fn from(error: PasswordError) -> Self {
        let message = error.to_string();
        match error {
            PasswordError::Repository(error) => error.into(),
            PasswordError::Refused(_) | PasswordError::Malformed(_) => Self::Malformed(message),
            PasswordError::NoPassword(_) => Self::Precondition(message),
            PasswordError::Digest(DigestError::Busy) => Self::Exhausted(message),
            PasswordError::Digest(DigestError::Stopping) => Self::Unavailable(message),
            PasswordError::Digest(DigestError::Malformed) => {
                tracing::error!(%error, "a stored digest cannot be read");
                Self::Internal(message)
            }
        }
    }
}

impl From<DispatchError> for AdminError {
    fn from(error: DispatchError) -> Self {
        match error {
            DispatchError::UnknownResource(name) => Self::no_such("resource", &name),
            DispatchError::Repository(error) => error.into(),
            DispatchError::Password(error) => error.into(),
            DispatchError::OtherCall { .. } => Self::Conflict(error.to_string()),
            DispatchError::Audit(error) => error.into(),
            DispatchError::Queued(_) | DispatchError::TakenBack(_) => {
                Self::Precondition(error.to_string())
            }
            DispatchError::Stopping => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<RotateError> for AdminError {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::UnknownResource(name) => Self::no_such("resource", &name),
            RotateError::Repository(error) => error.into(),
            RotateError::Failed { ref failure, .. } => match failure.kind() {
                FailureKind::Unavailable | FailureKind::Busy => {
                    Self::Unavailable(error.to_string())
                }
                _ => Self::Precondition(error.to_string()),
            },
            RotateError::Lost(_) | RotateError::Setting(_) => Self::Precondition(error.to_string()),
            RotateError::Unknown { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<QueueError> for AdminError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Malformed(message) => Self::Malformed(message),
            QueueError::Other(error) => error.into(),
            QueueError::Full { .. } => Self::Exhausted(error.to_string()),
            QueueError::Password(error) => error.into(),
            QueueError::Repository(error) => error.into(),
        }
    }
}

impl From<ChangeError> for AdminError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown(_) => Self::NotFound(error.to_string()),
            ChangeError::State(_) | ChangeError::Payload { .. } => {
                Self::Precondition(error.to_string())
            }
            ChangeError::Queue(error) => error.into(),
        }
    }
}
