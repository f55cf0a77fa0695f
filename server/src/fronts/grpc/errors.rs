//! Why a request was not carried out, as gRPC says it.

use tonic::Status;

use crate::admin::AdminError;

impl From<AdminError> for Status {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound(message) => Self::not_found(message),
            AdminError::Conflict(message) => Self::already_exists(message),
            AdminError::Malformed(message) => Self::invalid_argument(message),
            AdminError::Refused(message) => Self::permission_denied(message),
            AdminError::Precondition(message) => Self::failed_precondition(message),
            AdminError::Outdated(message) => Self::aborted(message),
            AdminError::Exhausted(message) => Self::resource_exhausted(message),
            AdminError::Unavailable(message) => Self::unavailable(message),
            AdminError::Internal(message) => Self::internal(message),
            // It came from here: see `broke_off`.
            AdminError::BrokeOff(error) => match error.downcast::<Self>() {
                Ok(status) => *status,
                Err(error) => Self::internal(error.to_string()),
            },
        }
    }
}

/// A stream of messages that did not come to its end.
pub(super) fn broke_off(status: Status) -> AdminError {
    AdminError::BrokeOff(Box::new(status))
}
