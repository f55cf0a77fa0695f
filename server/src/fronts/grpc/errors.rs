//! Why a request was not carried out, as gRPC says it.

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::admin::AdminError;

/// Says in one word what is the matter, beside every error that the server answers with.
pub(super) const KIND: &str = "portcullis-kind";

impl From<AdminError> for Status {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound(message) => of_kind(Self::not_found(message), "not-found"),
            AdminError::Conflict(message) => {
                of_kind(Self::already_exists(message), "already-exists")
            }
            AdminError::Malformed(message) => of_kind(Self::invalid_argument(message), "invalid"),
            AdminError::Refused(message) => {
                of_kind(Self::permission_denied(message), "permission-denied")
            }
            AdminError::Precondition(message) => {
                of_kind(Self::failed_precondition(message), "refused")
            }
            AdminError::Outdated(message) => of_kind(Self::aborted(message), "outdated"),
            AdminError::Exhausted(message) => of_kind(Self::resource_exhausted(message), "busy"),
            // `UNAVAILABLE` is what a client's own library says of a server that it does not reach,
            // and of one that it lost after the request was sent: never this server.
            AdminError::Unavailable(message) => {
                of_kind(Self::failed_precondition(message), "unavailable")
            }
            AdminError::Unsupported(message) => {
                of_kind(Self::unimplemented(message), "unsupported")
            }
            AdminError::Internal(message) => of_kind(Self::internal(message), "internal"),
            // It came from here: see `broke_off`.
            AdminError::BrokeOff(error) => match error.downcast::<Self>() {
                Ok(status) => kinded(*status),
                Err(error) => of_kind(Self::internal(error.to_string()), "internal"),
            },
        }
    }
}

/// A status with its kind, by its code where it has none.
pub(super) fn kinded(status: Status) -> Status {
    if status.metadata().contains_key(KIND) {
        return status;
    }
    let kind = match status.code() {
        Code::InvalidArgument | Code::OutOfRange => "invalid",
        Code::NotFound => "not-found",
        Code::AlreadyExists => "already-exists",
        Code::PermissionDenied | Code::Unauthenticated => "permission-denied",
        Code::FailedPrecondition => "refused",
        Code::Aborted => "outdated",
        Code::ResourceExhausted => "busy",
        Code::Unimplemented => "unsupported",
        _ => "internal",
    };
    of_kind(status, kind)
}

fn of_kind(mut status: Status, kind: &'static str) -> Status {
    let kind = MetadataValue::from_static(kind);
    status.metadata_mut().insert(KIND, kind);
    status
}

/// A stream of messages that did not come to its end.
pub(super) fn broke_off(status: Status) -> AdminError {
    AdminError::BrokeOff(Box::new(status))
}
