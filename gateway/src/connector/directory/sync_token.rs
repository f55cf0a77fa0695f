//! Tokens of a sync: a word for the way, the class, and what that way keeps, with blanks between.

use crate::model::{CallError, Failure, ObjectClass, SyncToken};

/// The way of a token, and what it keeps; `None`: it is of another class, or no such token.
pub(crate) fn read(token: &SyncToken, class: ObjectClass) -> Option<(&str, &[u8])> {
    let mut parts = token.as_bytes().splitn(3, |byte| *byte == b' ');
    let way = std::str::from_utf8(parts.next()?).ok()?;
    let of = parts.next()?;
    let kept = parts.next()?;
    (of == class.name().as_bytes()).then_some((way, kept))
}

/// The token of a way.
///
/// # Errors
/// [`CallError::Failed`]: what the directory gave is too long to be kept.
pub(crate) fn write(way: &str, class: ObjectClass, kept: &[u8]) -> Result<SyncToken, CallError> {
    let mut bytes = format!("{way} {} ", class.name()).into_bytes();
    bytes.extend_from_slice(kept);
    let too_long = || Failure::rejected("the directory's cookie is too long to be kept");
    Ok(SyncToken::new(bytes).ok_or_else(too_long)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_for_its_class_alone() {
        for kept in [&b""[..], b"a b", &[0, 255, b' ', 10]] {
            let token = write("way1", ObjectClass::Account, kept).unwrap();
            assert_eq!(read(&token, ObjectClass::Account), Some(("way1", kept)));
            assert_eq!(read(&token, ObjectClass::Group), None);
        }
        for other in [&b""[..], b"way1", b"way1 account", b"\xff account x"] {
            let token = SyncToken::new(other.to_vec()).unwrap();
            assert_eq!(read(&token, ObjectClass::Account), None);
        }
        let long = vec![0; SyncToken::MAX_LEN];
        assert!(write("way1", ObjectClass::Account, &long).is_err());
    }
}
