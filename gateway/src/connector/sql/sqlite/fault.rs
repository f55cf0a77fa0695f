//! What SQLite's errors mean: by its extended result codes.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use super::super::engine::{Cause, Fault, shown};
use crate::model::{FailureKind, Native};

/// The fault behind an error of a statement.
pub(super) fn of(error: &Error) -> Fault {
    let Some(native) = error.sqlite_error() else {
        // A statement that this program cannot take, or a value that it cannot read.
        let text = format!("the database answers what cannot be read: {error}");
        return Fault::refused(FailureKind::Internal, shown(&text));
    };
    Fault {
        cause: cause(native),
        native: Some(Native::new(native.extended_code, &error.to_string())),
        message: told(error, native),
    }
}

/// The fault behind an error of opening a database.
pub(super) fn of_opening(path: &Path, error: &Error) -> Fault {
    let fault = of(error);
    Fault {
        cause: Cause::Cut,
        message: format!("cannot open {}: {}", path.display(), fault.message),
        ..fault
    }
}

fn cause(native: &ffi::Error) -> Cause {
    use FailureKind::{AlreadyExists, Busy, Denied, Internal, Invalid, Rejected};
    Cause::Refused(match native.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => AlreadyExists,
        ffi::SQLITE_CONSTRAINT_TRIGGER => Rejected,
        ffi::SQLITE_CONSTRAINT_NOTNULL
        | ffi::SQLITE_CONSTRAINT_CHECK
        | ffi::SQLITE_CONSTRAINT_FOREIGNKEY
        | ffi::SQLITE_CONSTRAINT_DATATYPE => Invalid,
        _ => match native.code {
            ErrorCode::ConstraintViolation => Rejected,
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OperationInterrupted => Busy,
            ErrorCode::TypeMismatch | ErrorCode::TooBig => Invalid,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Denied,
            ErrorCode::DiskFull => Rejected,
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen => return Cause::Cut,
            _ => Internal,
        },
    })
}

fn told(error: &Error, native: &ffi::Error) -> String {
    let hint = match native.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "; another program is writing to it: try again, or raise `lock_timeout`"
        }
        ErrorCode::OperationInterrupted => {
            "; it took longer than the call or `statement_timeout` allows"
        }
        ErrorCode::ReadOnly => "; the gateway may only read the file or its folder",
        ErrorCode::DiskFull => "; its file system is full",
        _ => "",
    };
    format!(
        "the database says: {} (SQLite {}){hint}",
        shown(&error.to_string()),
        native.extended_code
    )
}
