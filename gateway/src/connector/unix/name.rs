//! Names of accounts and groups that every unix takes, and no program mistakes for an option, a
//! number or a path.

use crate::model::{Failure, ObjectName};

/// Bytes that a login name may have.
const MAX_LEN: usize = 32;

/// Checks a name that an account or group is to get.
pub(super) fn check(name: &ObjectName) -> Result<&str, Failure> {
    let text = name.as_str();
    let sound = text.len() <= MAX_LEN
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if sound {
        return Ok(text);
    }
    Err(Failure::invalid(format!(
        "`{text}` cannot be the name of a unix account or group: it takes 1 to {MAX_LEN} of A-Z a-z 0-9 . _ -, the first of them a letter or _"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_programs_could_mistake_are_refused() {
        for bad in [
            "-rf",
            "0",
            "27",
            "+ada",
            "a:b",
            "a/b",
            "..",
            ".a",
            "a b",
            "ada,root",
            "josé",
            "a2345678901234567890123456789012x",
        ] {
            assert!(check(&ObjectName::new(bad).unwrap()).is_err(), "{bad}");
        }
        for good in ["ada", "_svc", "Ada.Lovelace-2"] {
            assert!(check(&ObjectName::new(good).unwrap()).is_ok(), "{good}");
        }
    }
}
