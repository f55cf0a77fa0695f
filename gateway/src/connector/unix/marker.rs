//! The call that made an account, in the last part of its comment field: with it a look can tell
//! the account that a call made from one that somebody else made under the same name.

use crate::model::{CallId, Failure};

/// Parts of a comment field as chfn(1) knows them: full name, room, two telephones, other.
const PARTS: usize = 5;
/// How a mark begins.
const MARK: &str = "call=";

/// The comment of an account that `call` makes.
pub(super) fn marked(comment: &str, call: &CallId) -> Result<String, Failure> {
    let commas = comment.matches(',').count();
    if commas + 1 >= PARTS || comment.ends_with(',') {
        return Err(Failure::invalid(
            "the fifth part of a new account's comment field names the call that makes it, as the gateway's configuration asks with `marker`: give `gecos` at most four parts, and no comma at its end",
        ));
    }
    let separators = ",".repeat(PARTS - 1 - commas);
    Ok(format!("{comment}{separators}{}", mark(call)))
}

/// Whether an account with this comment was made by `call`.
pub(super) fn is_of(comment: &str, call: &CallId) -> bool {
    last(comment) == Some(mark(call).as_str())
}

/// A comment as it was asked for, without the mark behind it.
pub(super) fn unmarked(comment: &str) -> &str {
    let mark = last(comment).filter(|last| last.starts_with(MARK) && !last.contains(','));
    match mark.and_then(|mark| comment.strip_suffix(mark)) {
        Some(before) => before.trim_end_matches(','),
        None => comment,
    }
}

/// An account file takes no colon.
fn mark(call: &CallId) -> String {
    format!("{MARK}{}", call.as_str().replace(':', "%3A"))
}

fn last(comment: &str) -> Option<&str> {
    comment.splitn(PARTS, ',').nth(PARTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_off_again_and_is_of_its_call_alone() {
        let call = CallId::new("import:4711~2").unwrap();
        for comment in ["", "Ada", "Ada Lovelace,4.2", "Ada,,,0815", "a,b,c,d"] {
            let put = marked(comment, &call).unwrap();
            assert_eq!(unmarked(&put), comment, "{put}");
            assert!(is_of(&put, &call), "{put}");
            assert!(!is_of(&put, &CallId::new("import:4711").unwrap()));
            assert!(!is_of(&put, &CallId::new("import.4711~2").unwrap()));
            assert!(!put.contains(':'));
        }
        for taken in ["a,b,c,d,e", "a,b,c,d,", "a,", "a,b,c,d,e,f"] {
            assert!(marked(taken, &call).is_err(), "{taken}");
        }
        for other in [
            "Ada",
            "call=x",
            "a,b,c,d,e",
            "a,b,c,d,call=x,y",
            "a,b,c,call=x",
        ] {
            assert_eq!(unmarked(other), other);
        }
    }
}
