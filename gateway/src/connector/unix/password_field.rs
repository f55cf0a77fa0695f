//! The password field of an account, and its lock signs.
//!
//! | field | what it says |
//! | --- | --- |
//! | empty | no password is asked for: anybody gets in where the host allows that |
//! | a hash | the password that has this hash |
//! | `!`, `!!`, `*`, `!*`, `*LK*`, `*LOCKED*`, … before a hash | the password is locked |
//! | the same without a hash, `x`, `NP`, `*NP*`, … | no password fits |
//!
//! `usermod -L` puts a `!` before whatever is there and `usermod -U` takes one away; other programs
//! and other systems write the other signs.

use std::fmt;

use zeroize::Zeroizing;

/// What stands before a hash that is locked, the longest first.
const LOCK_SIGNS: [&[u8]; 4] = [b"*LOCKED*", b"*LK*", b"!", b"*"];

/// The password field of an account: a hash, perhaps locked, or something that no password fits.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordField {
    /// Empty where it was forgotten.
    text: Zeroizing<Vec<u8>>,
    /// Bytes of lock signs before the rest.
    signs: usize,
    has_hash: bool,
    is_empty: bool,
}

impl PasswordField {
    pub(super) fn new(text: &[u8]) -> Self {
        let signs = text.len() - without_signs(text).len();
        Self {
            signs,
            has_hash: is_hash(text.get(signs..).unwrap_or_default()),
            is_empty: text.is_empty(),
            text: Zeroizing::new(text.to_vec()),
        }
    }

    /// The hash, whether locked or not.
    pub(super) fn hash(&self) -> Option<&str> {
        let rest = self.text.get(self.signs..).filter(|_| self.has_hash)?;
        std::str::from_utf8(rest).ok()
    }

    /// Whether a hash is there, locked or not.
    pub(super) fn has_hash(&self) -> bool {
        self.has_hash
    }

    /// Whether a hash is there but locked, by whatever sign.
    pub(super) fn is_locked(&self) -> bool {
        self.has_hash && self.signs > 0
    }

    /// How many signs of `usermod -L` stand before the hash, where there are no others: each
    /// `usermod -U` takes one away. `None`: other signs lock it, which only a new hash undoes.
    pub(super) fn locks(&self) -> Option<usize> {
        let signs = self.text.get(..self.signs).filter(|_| self.has_hash);
        let signs = signs.unwrap_or_default();
        signs
            .iter()
            .all(|sign| *sign == b'!')
            .then_some(signs.len())
    }

    /// The field without its lock, where a hash is locked.
    pub(super) fn unlocked(&self) -> Self {
        match self.hash() {
            Some(hash) => Self::new(hash.as_bytes()),
            None => self.clone(),
        }
    }

    /// Whether just this is stored.
    pub(super) fn is(&self, stored: &str) -> bool {
        *self.text == stored.as_bytes()
    }

    /// Whether it is empty, so that no password is asked for.
    pub(super) fn asks_for_none(&self) -> bool {
        self.is_empty
    }

    /// Forgets the hash, but not that there is one.
    pub(super) fn forget(&mut self) {
        self.text = Zeroizing::default();
    }
}

impl fmt::Debug for PasswordField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordField([redacted])")
    }
}

fn without_signs(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(shorter) = LOCK_SIGNS.iter().find_map(|sign| rest.strip_prefix(*sign)) {
        rest = shorter;
    }
    rest
}

/// Whether a text has the form of something that crypt(3) makes: `$id$…`, `_…` of extended DES, or
/// the letters of DES, whose first block has 13 and further ones 11 each.
fn is_hash(text: &[u8]) -> bool {
    let letters = |text: &[u8]| {
        text.iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(byte))
    };
    match text.split_first() {
        Some((b'$', rest)) => rest.len() >= 12 && rest.iter().all(u8::is_ascii_graphic),
        Some((b'_', rest)) => rest.len() == 19 && letters(rest),
        _ => text.len() >= 13 && (text.len() - 2).is_multiple_of(11) && letters(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "$6$salt$0123456789";

    #[test]
    fn every_lock_sign_is_read() {
        for (sign, locked) in [
            ("", false),
            ("!", true),
            ("!!", true),
            ("*", true),
            ("!*", true),
            ("*LK*", true),
            ("!*LK*", true),
            ("*LOCKED*", true),
        ] {
            for hash in [
                SHA,
                "$1$a$b0123456",
                "_J9..CCCCXBrJUJV154M",
                "ab01FAX.bQRSU",
            ] {
                let field = PasswordField::new(format!("{sign}{hash}").as_bytes());
                assert_eq!(field.hash(), Some(hash), "{sign}");
                assert_eq!(field.is_locked(), locked, "{sign}");
                let by_usermod = sign.bytes().all(|sign| sign == b'!');
                assert_eq!(field.locks(), by_usermod.then_some(sign.len()));
                assert!(field.unlocked().is(hash) && !field.unlocked().is_locked());
            }
        }
    }

    #[test]
    fn what_is_no_hash_is_no_locked_password() {
        for text in [
            "",
            "!",
            "!!",
            "*",
            "!*",
            "*LK*",
            "x",
            "NP",
            "*NP*",
            "!x",
            "NOPASSWORD---",
            "$6$",
            "no-such-password-at-all",
            "abcdefghijklmn",
        ] {
            let field = PasswordField::new(text.as_bytes());
            assert_eq!(field.hash(), None, "{text}");
            assert!(!field.is_locked(), "{text}");
            assert_eq!(field.asks_for_none(), text.is_empty());
        }
        assert!(!PasswordField::new(b"\xFF$6$salt$0123456789").has_hash());
    }

    #[test]
    fn a_forgotten_hash_is_known_to_be_there_and_never_shown() {
        let mut field = PasswordField::new(format!("!{SHA}").as_bytes());
        assert!(!format!("{field:?}").contains("salt"));
        field.forget();
        assert!(field.has_hash() && field.is_locked() && field.hash().is_none());
    }
}
