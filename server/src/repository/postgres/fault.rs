//! What PostgreSQL's errors mean: by SQLSTATE (its documentation, appendix A).

use std::error::Error as _;
use std::fmt::{self, Write as _};

use portcullis_host::text::printable;
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::repository::RepositoryError;

/// What an error of a statement means for the transaction that it stands in.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is undone, and may be made again: others were in its way.
    Again,
    /// The connection is of no use any more, for this reason. Nobody knows what the database did of
    /// what it was told last.
    Lost(String),
    /// It is undone, for this reason.
    Refused(RepositoryError),
}

/// As a reason why the database is of no use.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again => f.write_str("others are in the way"),
            Self::Lost(reason) => f.write_str(reason),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

/// What an error of a statement means.
pub(super) fn of(error: &Error) -> Fault {
    let Some(answer) = error.as_db_error() else {
        // What is given and read is checked before: the rest is the connection's.
        return Fault::Lost(causes(error));
    };
    let code = answer.code().code();
    match code {
        "40001" | "40P01" => Fault::Again,
        "55P03" => Fault::Refused(RepositoryError::Busy),
        "53100" => Fault::Refused(RepositoryError::Full),
        "XX001" | "XX002" => Fault::Refused(RepositoryError::Damaged(told(answer))),
        // A primary that became a standby; transactions ended for their age.
        "25006" | "25P03" => Fault::Lost(told(answer)),
        // No room for a connection, shutting down, cut off by somebody, an error of its system, or
        // nobody knows how it ended.
        "53300" | "40003" => Fault::Lost(told(answer)),
        _ if code.starts_with("08") || code.starts_with("57P") || code.starts_with("58") => {
            Fault::Lost(told(answer))
        }
        _ => Fault::Refused(RepositoryError::Storage(told(answer))),
    }
}

/// Why a database cannot be used that was asked for the first time, or again.
pub(super) fn of_connecting(place: &str, error: &Error) -> RepositoryError {
    let place = place.to_owned();
    let Some(answer) = error.as_db_error() else {
        let said = causes(error);
        // The driver has no kinds for these, but what it says.
        if said.contains("password missing") {
            let reason =
                "it asks for a password: give [repository] password_file or password_credential";
            return RepositoryError::Unsuitable {
                place,
                reason: reason.to_owned(),
            };
        }
        if said.contains("does not allow writes") {
            let reason = "it takes no changes: none of the hosts is the primary now".to_owned();
            return RepositoryError::Away { place, reason };
        }
        return RepositoryError::Away {
            place,
            reason: said,
        };
    };
    let advice = match answer.code().code() {
        "28P01" => {
            "the password is wrong: put the right one into [repository] password_file or password_credential"
        }
        "28000" => {
            "it does not let this user in from here: look at its pg_hba.conf, and at [repository] user"
        }
        "3D000" => {
            "there is no such database: make it (`createdb`, owned by [repository] user), or mend [repository] database"
        }
        "42501" => "the user may not use it: make it the database's owner",
        _ => {
            return RepositoryError::Away {
                place,
                reason: told(answer),
            };
        }
    };
    RepositoryError::Unsuitable {
        place,
        reason: format!("{advice}; {}", told(answer)),
    }
}

/// The database's words. Details and hints are left out: they repeat values.
fn told(answer: &DbError) -> String {
    let code = answer.code().code();
    format!(
        "the database says: {} (SQLSTATE {code})",
        printable(answer.message())
    )
}

/// An error with all that caused it.
fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // Writing to a text cannot fail.
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    printable(&text)
}
