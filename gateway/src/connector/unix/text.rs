//! Texts of the account files, whose encoding nobody wrote down.

use std::ops::Deref;

/// A field of an account file: its bytes, and how they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// Only where they are no UTF-8.
    bytes: Option<Vec<u8>>,
    shown: String,
}

impl Text {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: std::str::from_utf8(bytes).is_err().then(|| bytes.to_vec()),
            shown: shown(bytes),
        }
    }

    /// What follows the first comma; `None` where that is no UTF-8, so that it cannot be given to a
    /// program again as it is.
    pub(super) fn behind_comma(&self) -> Option<&str> {
        let Some(bytes) = &self.bytes else {
            return Some(self.shown.split_once(',').map_or("", |(_, rest)| rest));
        };
        let comma = bytes.iter().position(|&byte| byte == b',');
        let rest = comma.and_then(|comma| bytes.get(comma + 1..));
        std::str::from_utf8(rest.unwrap_or_default()).ok()
    }
}

impl Deref for Text {
    type Target = str;

    /// As it is shown.
    fn deref(&self) -> &str {
        &self.shown
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

/// A text with each byte that is no UTF-8 as `\xF6`, so that it is seen as what it is, and never
/// mistaken for another.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_utf8_are_shown_as_such() {
        assert_eq!(shown(b"J\xF6rg"), "J\\xF6rg");
        assert_eq!(shown("Jörg".as_bytes()), "Jörg");
        assert_eq!(shown(b"\xE2\x82"), "\\xE2\\x82");
    }

    #[test]
    fn a_text_equals_what_it_is_shown_as() {
        assert!(Text::new("Jörg".as_bytes()) == "Jörg".to_owned());
        assert!(Text::new(b"J\xF6rg") != "Jörg".to_owned());
    }

    #[test]
    fn only_what_is_utf8_can_be_given_back() {
        assert_eq!(
            Text::new(b"J\xF6rg,room 7,").behind_comma(),
            Some("room 7,")
        );
        assert_eq!(Text::new(b"Joerg,B\xFCro 7").behind_comma(), None);
        assert_eq!(Text::new(b"J\xF6rg").behind_comma(), Some(""));
        assert_eq!(
            Text::new("Jörg,Büro".as_bytes()).behind_comma(),
            Some("Büro")
        );
    }
}
