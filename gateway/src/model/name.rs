//! Names and ids: texts of bounded length that cannot carry a control character.

use std::fmt;

/// Why a text is no such name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no character at all.
    #[error("{what} is empty")]
    Empty {
        /// What the text was to name.
        what: &'static str,
    },
    /// It is too long.
    #[error("{what} has {length} bytes, which is more than the {max} allowed")]
    TooLong {
        /// What the text was to name.
        what: &'static str,
        /// Bytes that it has.
        length: usize,
        /// Bytes that it may have.
        max: usize,
    },
    /// It holds a character that it may not.
    #[error("{what} holds the character {character:?}; allowed are {allowed}")]
    Character {
        /// What the text was to name.
        what: &'static str,
        /// The first character that is not allowed.
        character: char,
        /// Which are.
        allowed: &'static str,
    },
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:literal, $test:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Bytes that it may have.
            pub const MAX_LEN: usize = $max;

            /// Checks a text.
            ///
            /// # Errors
            /// [`NameError`] where it is empty, too long or holds a character that it may not.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                check(&text, $what, Self::MAX_LEN, $allowed, $test).map(|()| Self(text))
            }

            /// Whether a text is one.
            pub fn is(text: &str) -> bool {
                check(text, $what, Self::MAX_LEN, $allowed, $test).is_ok()
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// Names a call among those of its caller; a further attempt of it, with `~` and its number.
    CallId, "the call id", 140, "A-Z a-z 0-9 . _ : - ~",
    |c: char| c.is_ascii_alphanumeric() || "._:-~".contains(c)
);
checked_text!(
    /// Names a connector in the gateway's configuration.
    ConnectorName, "the connector's name", 64, "A-Z a-z 0-9 . _ -",
    |c: char| c.is_ascii_alphanumeric() || "._-".contains(c)
);
checked_text!(
    /// An object's immutable id, as the connector defines it.
    ObjectId, "the object's id", 512, "all but control characters",
    |c: char| !is_control(c)
);
checked_text!(
    /// An object's name.
    ObjectName, "the object's name", 256, "all but control characters",
    |c: char| !is_control(c)
);
checked_text!(
    /// Names an attribute, with options behind semicolons where the resource has such.
    AttributeName, "the attribute's name", 128, "A-Z a-z 0-9 . _ : ; -",
    |c: char| c.is_ascii_alphanumeric() || "._:;-".contains(c)
);
checked_text!(
    /// Names an action of `run`. It becomes part of a file's name, so it holds no dot and no
    /// separator.
    ActionName, "the action's name", 64, "a-z 0-9 _ -",
    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c)
);

/// Whether a character can hide, move or break what is shown: control characters, line separators,
/// and the marks that turn the direction of writing.
pub(super) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn check(
    text: &str,
    what: &'static str,
    max: usize,
    allowed: &'static str,
    test: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > max {
        return Err(NameError::TooLong {
            what,
            length: text.len(),
            max,
        });
    }
    match text.chars().find(|&c| !test(c)) {
        Some(character) => Err(NameError::Character {
            what,
            character,
            allowed,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_break_a_line_or_a_path_are_refused() {
        assert!(CallId::new("a b").is_err());
        assert!(CallId::new("a".repeat(141)).is_err());
        assert!(CallId::new("import:4711_x.y-z").is_ok());
        for bad in ["", "ada\n", "ada\0", "a\u{202e}da", "\u{1b}[2J"] {
            assert!(ObjectName::new(bad).is_err(), "{bad:?}");
            assert!(ObjectId::new(bad).is_err(), "{bad:?}");
        }
        assert!(ObjectName::new("Ada Lovelace <ada@example.com>").is_ok());
        for bad in ["../x", "a/b", "x.exe", "A", "a\\b"] {
            assert!(ActionName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_is_allowed() {
        assert_eq!(
            CallId::new("a b").unwrap_err().to_string(),
            "the call id holds the character ' '; allowed are A-Z a-z 0-9 . _ : - ~"
        );
    }
}
