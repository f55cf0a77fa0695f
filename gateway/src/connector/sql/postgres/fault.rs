//! What PostgreSQL's errors mean: by SQLSTATE (its documentation, appendix A).

use std::error::Error as _;
use std::fmt::Write as _;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use super::super::engine::{Cause, Fault, shown};
use crate::model::{FailureKind, Native};

/// The fault behind an error of a statement.
pub(super) fn of(error: &Error) -> Fault {
    match error.as_db_error() {
        Some(answer) => of_answer(answer),
        None => Fault::cut(format!(
            "the connection to the database broke off: {}",
            causes(error)
        )),
    }
}

/// The fault behind an error of connecting.
pub(super) fn of_connecting(place: &str, error: &Error) -> Fault {
    let Some(answer) = error.as_db_error() else {
        let said = causes(error);
        // The driver has no kind for it, but what it says.
        let advice = match said.contains("password missing") {
            true => ": give `password_file`, or the resource's secret setting `password`",
            false => "",
        };
        return Fault::cut(format!("cannot connect to {place}: {said}{advice}"));
    };
    let code = answer.code().code();
    let advice = match code {
        "28P01" => {
            "the password of the gateway's own user is wrong: put the right one into `password_file` or the resource's secret setting `password`"
        }
        "28000" => "the database does not let this user in from here: look at pg_hba.conf",
        "3D000" => "there is no such database: mend `database`",
        "53300" => {
            "the database has no connection left: lower `connections`, or raise max_connections there"
        }
        _ => "",
    };
    let kind = of_answer(answer);
    let colon = if advice.is_empty() { "" } else { ": " };
    Fault {
        cause: match code {
            "53300" => Cause::Refused(FailureKind::Busy),
            "28P01" | "28000" | "42501" => Cause::Refused(FailureKind::Denied),
            _ => Cause::Cut,
        },
        message: format!("cannot connect to {place}: {}{colon}{advice}", kind.message),
        ..kind
    }
}

fn of_answer(answer: &DbError) -> Fault {
    let code = answer.code().code();
    Fault {
        cause: cause(code),
        native: Some(Native::new(code, answer.message())),
        message: told(answer),
    }
}

/// SQLSTATE to cause.
pub(super) fn cause(code: &str) -> Cause {
    use FailureKind::{
        AlreadyExists, Busy, Denied, Internal, Invalid, NotFound, Rejected, Unsupported,
    };
    Cause::Refused(match code {
        "23505" | "23P01" => AlreadyExists,
        "23502" | "23514" | "23503" => Invalid,
        "40001" | "40P01" => return Cause::Again,
        "55P03" | "57014" | "25P03" => Busy,
        "42501" => Denied,
        "02000" | "P0002" => NotFound,
        "0A000" => Unsupported,
        // A statement of the configuration that the target cannot read.
        _ if code.starts_with("42") || code.starts_with("26") => Internal,
        _ if code.starts_with("22") => Invalid,
        _ if code.starts_with("53") => Busy,
        // Starting up, shutting down, crashing, or cut off by somebody: what had been sent may have
        // been carried out.
        _ if code.starts_with("08") || code.starts_with("57P") || code.starts_with("58") => {
            return Cause::Cut;
        }
        // Nobody knows how it ended: of databases that speak like PostgreSQL.
        "40003" => return Cause::Cut,
        _ if code.starts_with("XX") => return Cause::Cut,
        _ => Rejected,
    })
}

/// The target's words, with what they are about. Its detail is left out: it repeats values.
fn told(answer: &DbError) -> String {
    let mut text = format!(
        "the database says: {} (SQLSTATE {}",
        shown(answer.message()),
        answer.code().code()
    );
    for (what, name) in [
        ("constraint", answer.constraint()),
        ("table", answer.table()),
        ("column", answer.column()),
    ] {
        if let Some(name) = name {
            // Writing to a text cannot fail.
            let _ = write!(text, ", {what} {}", shown(name));
        }
    }
    text.push(')');
    if let Some(hint) = answer.hint() {
        let _ = write!(text, "; hint: {}", shown(hint));
    }
    text
}

/// An error with all that caused it.
fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    shown(&text)
}
