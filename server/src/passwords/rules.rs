//! What a password policy demands of a password as such: no history, no dictionary.

use std::fmt;

use crate::repository::PasswordPolicy;

/// Letters that a name needs so that passwords that hold it are refused: shorter ones are in too
/// many.
const SHORTEST_NAME: usize = 3;

/// A rule that a password breaks. Says nothing of the password but that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Fewer characters than this.
    TooShort(u32),
    /// More characters than this.
    TooLong(u32),
    /// Fewer characters of a class than this.
    TooFew(Class, u32),
    /// The name of its user or account is in it.
    HoldsName,
    /// It is a word of the dictionary.
    IsWord,
    /// It is one of so many earlier ones.
    WasUsed(u32),
}

/// A class of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Lower-case letters.
    Lower,
    /// Upper-case letters.
    Upper,
    /// Digits.
    Digit,
    /// Everything else.
    Other,
}

/// All that is wrong with a password; not empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Violations(pub Vec<Violation>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the password does not meet the policy: ")?;
        for (index, violation) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{violation}")?;
        }
        f.write_str(". `portcullis policy show` tells the whole of it")
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(min) => write!(f, "it needs at least {min} characters"),
            Self::TooLong(max) => write!(f, "it may have at most {max} characters"),
            Self::TooFew(class, 1) => write!(f, "it needs {}", class.one()),
            Self::TooFew(class, min) => write!(f, "it needs at least {min} {}", class.many()),
            Self::HoldsName => f.write_str("it may not hold the name of its user or account"),
            Self::IsWord => f.write_str("it may not be a word of the dictionary"),
            Self::WasUsed(1) => f.write_str("it may not be the last one again"),
            Self::WasUsed(depth) => write!(f, "it may not be one of the last {depth} again"),
        }
    }
}

impl Class {
    const fn one(self) -> &'static str {
        match self {
            Self::Lower => "a lower-case letter",
            Self::Upper => "an upper-case letter",
            Self::Digit => "a digit",
            Self::Other => "a character that is neither letter nor digit",
        }
    }

    const fn many(self) -> &'static str {
        match self {
            Self::Lower => "lower-case letters",
            Self::Upper => "upper-case letters",
            Self::Digit => "digits",
            Self::Other => "characters that are neither letters nor digits",
        }
    }

    fn of(c: char) -> Self {
        if c.is_lowercase() {
            Self::Lower
        } else if c.is_uppercase() {
            Self::Upper
        } else if c.is_numeric() {
            Self::Digit
        } else {
            Self::Other
        }
    }
}

/// Everything that is wrong with `password` by itself, for one who is called by any of `names`.
pub(super) fn violations(
    policy: &PasswordPolicy,
    password: &str,
    names: &[String],
) -> Vec<Violation> {
    let mut found = Vec::new();
    let length = u32::try_from(password.chars().count()).unwrap_or(u32::MAX);
    if length < policy.min_length {
        found.push(Violation::TooShort(policy.min_length));
    }
    if policy.max_length > 0 && length > policy.max_length {
        found.push(Violation::TooLong(policy.max_length));
    }
    for (class, min) in [
        (Class::Lower, policy.min_lower),
        (Class::Upper, policy.min_upper),
        (Class::Digit, policy.min_digits),
        (Class::Other, policy.min_other),
    ] {
        let have = password.chars().filter(|c| Class::of(*c) == class).count();
        if u32::try_from(have).unwrap_or(u32::MAX) < min {
            found.push(Violation::TooFew(class, min));
        }
    }
    if policy.forbid_names && names.iter().any(|name| holds_name(password, name)) {
        found.push(Violation::HoldsName);
    }
    found
}

fn holds_name(password: &str, name: &str) -> bool {
    let password = zeroize::Zeroizing::new(password.to_lowercase());
    let name = name.to_lowercase();
    if name.chars().count() < SHORTEST_NAME {
        return *password == name;
    }
    password.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict() -> PasswordPolicy {
        PasswordPolicy {
            min_length: 8,
            max_length: 12,
            min_lower: 1,
            min_upper: 2,
            min_digits: 1,
            min_other: 1,
            forbid_names: true,
            ..PasswordPolicy::default()
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_and_never_the_password() {
        let found = violations(&strict(), "ada", &["Ada".to_owned()]);
        assert_eq!(
            found,
            [
                Violation::TooShort(8),
                Violation::TooFew(Class::Upper, 2),
                Violation::TooFew(Class::Digit, 1),
                Violation::TooFew(Class::Other, 1),
                Violation::HoldsName,
            ]
        );
        let text = Violations(violations(&strict(), "swordfishswordfish", &[])).to_string();
        assert!(!text.contains("swordfish"), "{text}");
        assert!(
            text.contains("at most 12") && text.contains("a digit"),
            "{text}"
        );
    }

    #[test]
    fn a_sound_password_breaks_no_rule_and_the_default_has_none() {
        let names = ["ada".to_owned(), "x".to_owned()];
        assert_eq!(violations(&strict(), "AbC-defg4x", &names), []);
        assert_eq!(violations(&PasswordPolicy::default(), "ada", &names), []);
        // Characters, not bytes.
        assert_eq!(violations(&strict(), "ÄÖüü4€€€", &names), []);
    }
}
