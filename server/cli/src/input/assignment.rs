//! `NAME=VALUE` and `NAME:TYPE=VALUE`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use portcullis_host::command_line::SECRET;
use portcullis_proto::gateway::v1::ValueType;

/// Why a text is no assignment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AssignmentError {
    #[error("there is no `=`: give NAME=VALUE")]
    NoEquals,
    #[error("there is no name before the `=`: give NAME=VALUE")]
    NoName,
    #[error("`{0}` is no type: one of text, integer, boolean, binary (base64), real, time")]
    UnknownType(String),
    #[error("{SECRET}: give --secret-file NAME=FILE")]
    Secret,
}

/// An attribute's name, with or without a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypedName {
    pub(crate) name: String,
    pub(crate) value_type: Option<ValueType>,
}

impl FromStr for TypedName {
    type Err = AssignmentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value_type) = match text.rsplit_once(':') {
            None => (text, None),
            Some((name, word)) => (name, Some(parse_type(word)?)),
        };
        if name.is_empty() {
            return Err(AssignmentError::NoName);
        }
        Ok(Self {
            name: name.to_owned(),
            value_type,
        })
    }
}

/// One value for one attribute; repeated for one with several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) to: TypedName,
    pub(crate) text: String,
}

impl FromStr for Assignment {
    type Err = AssignmentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (to, text) = text.split_once('=').ok_or(AssignmentError::NoEquals)?;
        Ok(Self {
            to: to.parse()?,
            text: text.to_owned(),
        })
    }
}

/// `NAME=VALUE` without types: a resource's setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Setting {
    type Err = AssignmentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or(AssignmentError::NoEquals)?;
        if name.is_empty() {
            return Err(AssignmentError::NoName);
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// `NAME=FILE`: a secret attribute, and where its value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl FromStr for SecretFile {
    type Err = AssignmentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Setting { name, value } = text.parse()?;
        Ok(Self {
            name,
            path: value.into(),
        })
    }
}

impl fmt::Display for TypedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn parse_type(word: &str) -> Result<ValueType, AssignmentError> {
    Ok(match word {
        "text" => ValueType::Text,
        "int" | "integer" => ValueType::Integer,
        "bool" | "boolean" => ValueType::Boolean,
        "binary" => ValueType::Binary,
        "real" => ValueType::Real,
        "time" => ValueType::Time,
        "secret" => return Err(AssignmentError::Secret),
        other => return Err(AssignmentError::UnknownType(other.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_stands_after_the_name_and_everything_after_the_first_equals_is_the_value() {
        for (text, name, value_type, value) in [
            ("shell=/bin/sh", "shell", None, "/bin/sh"),
            ("uid:int=5", "uid", Some(ValueType::Integer), "5"),
            ("urn:x:text=a", "urn:x", Some(ValueType::Text), "a"),
            ("note=a=b:c", "note", None, "a=b:c"),
            ("note=", "note", None, ""),
        ] {
            let read: Assignment = text.parse().unwrap();
            assert_eq!(
                (
                    read.to.name.as_str(),
                    read.to.value_type,
                    read.text.as_str()
                ),
                (name, value_type, value)
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            ("shell", AssignmentError::NoEquals),
            ("=x", AssignmentError::NoName),
            (":int=5", AssignmentError::NoName),
            (
                "uid:intt=5",
                AssignmentError::UnknownType("intt".to_owned()),
            ),
            ("pin:secret=1234", AssignmentError::Secret),
        ] {
            assert_eq!(text.parse::<Assignment>().unwrap_err(), error);
        }
    }
}
