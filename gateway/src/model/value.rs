//! Values of attributes, and passwords.

use std::fmt;
use std::time::SystemTime;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A password: zeroized on drop, never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Password(Vec<u8>);

impl Password {
    /// Bytes that a password may have.
    pub const MAX_LEN: usize = 1024;

    /// Takes the bytes over; `None` where they are none or more than [`Password::MAX_LEN`].
    pub fn new(mut bytes: Vec<u8>) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > Self::MAX_LEN {
            bytes.zeroize();
            return None;
        }
        Some(Self(bytes))
    }

    /// The bytes: for the resource itself, nowhere else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password([redacted])")
    }
}

/// One value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text without NUL.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
    /// Any bytes.
    Binary(Vec<u8>),
    /// A finite number.
    Real(f64),
    /// A moment from 1970 on.
    Time(SystemTime),
    /// What must not be shown.
    Secret(Password),
}

/// The type of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// See [`Value::Text`].
    Text,
    /// See [`Value::Integer`].
    Integer,
    /// See [`Value::Boolean`].
    Boolean,
    /// See [`Value::Binary`].
    Binary,
    /// See [`Value::Real`].
    Real,
    /// See [`Value::Time`].
    Time,
    /// See [`Value::Secret`].
    Secret,
}

impl ValueType {
    /// The name used in messages and in the script protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Binary => "binary",
            Self::Real => "real",
            Self::Time => "time",
            Self::Secret => "secret",
        }
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Text,
            Self::Integer,
            Self::Boolean,
            Self::Binary,
            Self::Real,
            Self::Time,
            Self::Secret,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}

impl Value {
    /// Bytes of text or binary in one value at the most.
    pub const MAX_LEN: usize = 1024 * 1024;

    /// Which type it has.
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::Text(_) => ValueType::Text,
            Self::Integer(_) => ValueType::Integer,
            Self::Boolean(_) => ValueType::Boolean,
            Self::Binary(_) => ValueType::Binary,
            Self::Real(_) => ValueType::Real,
            Self::Time(_) => ValueType::Time,
            Self::Secret(_) => ValueType::Secret,
        }
    }

    /// What it is told by from others, in a set: equal values have equal keys.
    pub fn key(&self) -> ValueKey<'_> {
        ValueKey(match self {
            Self::Text(text) => Key::Text(text),
            Self::Integer(number) => Key::Integer(*number),
            Self::Boolean(truth) => Key::Boolean(*truth),
            Self::Binary(bytes) => Key::Binary(bytes),
            // The two zeros are equal.
            Self::Real(number) => Key::Real((number + 0.0).to_bits()),
            Self::Time(time) => Key::Time(*time),
            Self::Secret(secret) => Key::Secret(secret.expose()),
        })
    }

    /// The numeric id that it is for whoever reads it: not so a text with a sign, with spaces or
    /// with zeros before it, a fraction, or what a system with ids of 32 bits may cut.
    pub fn as_id(&self) -> Option<u64> {
        let number = match self {
            Self::Integer(number) => u32::try_from(*number).ok()?,
            Self::Text(text) => text
                .parse()
                .ok()
                .filter(|number: &u32| number.to_string() == *text)?,
            _ => return None,
        };
        Some(number.into())
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Stands for a value in a set. It has no `Debug`: the value may be a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ValueKey<'a>(Key<'a>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    Text(&'a str),
    Integer(i64),
    Boolean(bool),
    Binary(&'a [u8]),
    Real(u64),
    Time(SystemTime),
    Secret(&'a [u8]),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_equal_where_their_keys_are() {
        let values = [
            Value::Text("1".to_owned()),
            Value::Binary(b"1".to_vec()),
            Value::Secret(Password::new(b"1".to_vec()).unwrap()),
            Value::Integer(1),
            Value::Real(1.0),
            Value::Real(0.0),
            Value::Real(-0.0),
            Value::Boolean(true),
            Value::Time(SystemTime::UNIX_EPOCH),
        ];
        for one in &values {
            for other in &values {
                assert_eq!(one == other, one.key() == other.key(), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let value = Value::Secret(Password::new(b"hunter2".to_vec()).unwrap());
        assert_eq!(format!("{value:?}"), "Secret(Password([redacted]))");
    }

    #[test]
    fn an_empty_or_endless_password_is_none() {
        assert!(Password::new(Vec::new()).is_none());
        assert!(Password::new(vec![b'x'; 1025]).is_none());
    }
}
