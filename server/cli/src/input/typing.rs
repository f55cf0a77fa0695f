//! Text to typed values, by the type that was given or by the resource's schema.

use std::collections::HashMap;

use data_encoding::BASE64;
use portcullis_common::listing::Plain;
use portcullis_host::nearest::nearest_first;
use portcullis_proto::gateway::v1::{
    Attribute, AttributeSchema, ClassSchema, Schema, Value, ValueType, value::Kind,
};

use super::assignment::{Assignment, SecretFile, TypedName};
use super::prompt::read_secret_file;
use crate::class::Class;
use crate::detail::type_word;
use crate::error::CliError;
use crate::view::printable;

/// Why a text is no value of an attribute. The text is not repeated: it may stand in a file with
/// passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("the resource has no attribute `{name}` for {class}s; it has {known}")]
    UnknownAttribute {
        name: String,
        class: String,
        known: String,
    },
    #[error("`{name}` takes {expected}")]
    WrongType {
        name: String,
        expected: &'static str,
    },
    #[error("`{name}` takes one value, and {count} were given")]
    SingleValued { name: String, count: usize },
    #[error("`{name}` cannot be given to a new object: it is the resource's to set")]
    NotAtCreation { name: String },
    #[error("the resource requires {names}, and there is none")]
    Missing { names: String },
    #[error("`{name}` is a secret: give it with --secret-file {name}=FILE")]
    Secret { name: String },
}

impl From<ValueError> for CliError {
    fn from(error: ValueError) -> Self {
        Self::Usage(printable(&error.to_string()))
    }
}

/// What is known of the attributes of one class.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typing {
    class: Class,
    attributes: HashMap<String, AttributeSchema>,
}

impl Typing {
    /// By the resource's schema. A class whose attributes are not declared takes any, as text.
    pub(crate) fn new(class: impl Into<Class>, schema: Option<Schema>) -> Self {
        let class = class.into();
        let attributes = schema
            .into_iter()
            .flat_map(|schema| schema.classes)
            .filter(|of| Class::new(of.object_class(), &of.class_name) == class)
            .flat_map(|of: ClassSchema| of.attributes)
            .map(|attribute| (attribute.name.clone(), attribute))
            .collect();
        Self { class, attributes }
    }

    /// The type of an attribute: as given, or as the schema says.
    pub(crate) fn type_of(&self, of: &TypedName) -> Result<ValueType, ValueError> {
        if let Some(given) = of.value_type {
            return Ok(given);
        }
        match self.known(&of.name) {
            Some(attribute) => Ok(attribute.r#type()),
            None if self.attributes.is_empty() => Ok(ValueType::Text),
            None => Err(self.unknown(&of.name)),
        }
    }

    /// Whether the class has attributes of these names, as far as its schema says any.
    pub(crate) fn check_known(&self, names: &[String]) -> Result<(), ValueError> {
        let unknown = |name: &&String| !self.attributes.is_empty() && self.known(name).is_none();
        match names.iter().find(unknown) {
            Some(name) => Err(self.unknown(name)),
            None => Ok(()),
        }
    }

    /// An attribute as the schema spells it, whatever the case; `None` where it could be several.
    pub(crate) fn spelling(&self, name: &str) -> Option<&str> {
        if let Some((known, _)) = self.attributes.get_key_value(name) {
            return Some(known);
        }
        let known = self.attributes.keys();
        let mut alike = known.filter(|known| known.eq_ignore_ascii_case(name));
        match (alike.next(), alike.next()) {
            (Some(known), None) => Some(known),
            _ => None,
        }
    }

    /// The same, with the options behind a semicolon that it has there; as it is where the schema
    /// does not know it.
    pub(crate) fn spelled(&self, name: &str) -> String {
        let (base, options) = name.split_at(name.find(';').unwrap_or(name.len()));
        match (self.spelling(name), self.spelling(base)) {
            (Some(known), _) => known.to_owned(),
            (None, Some(base)) => format!("{base}{options}"),
            (None, None) => name.to_owned(),
        }
    }

    /// What the schema says of an attribute, whatever its options.
    fn known(&self, name: &str) -> Option<&AttributeSchema> {
        let base = name.split(';').next().unwrap_or(name);
        let known = self.spelling(name).or_else(|| self.spelling(base))?;
        self.attributes.get(known)
    }

    /// Whether the schema lets an attribute have several values; `None` where it does not say.
    pub(crate) fn multi_valued(&self, name: &str) -> Option<bool> {
        self.known(name).map(|a| a.multi_valued)
    }

    /// Whether a read that names no attributes returns this one; so it does where the schema
    /// declares none.
    pub(crate) fn returned_by_default(&self, name: &str) -> bool {
        let known = self.attributes.get(name);
        known.map_or(self.attributes.is_empty(), |known| {
            known.returned_by_default
        })
    }

    /// One value.
    pub(crate) fn value(&self, of: &TypedName, text: &str) -> Result<Value, ValueError> {
        let value_type = self.type_of(of)?;
        if value_type == ValueType::Secret {
            return Err(ValueError::Secret {
                name: of.name.clone(),
            });
        }
        let kind = convert(value_type, text).ok_or_else(|| wrong_type(&of.name, value_type))?;
        Ok(Value { kind: Some(kind) })
    }

    /// Gathers repeated assignments into attributes, in the order in which they were first named.
    pub(crate) fn attributes(
        &self,
        assignments: &[Assignment],
    ) -> Result<Vec<Attribute>, ValueError> {
        let mut out: Vec<Attribute> = Vec::new();
        for assignment in assignments {
            let value = self.value(&assignment.to, &assignment.text)?;
            let name = self.spelled(&assignment.to.name);
            match out.iter_mut().find(|attribute| attribute.name == name) {
                Some(attribute) => attribute.values.push(value),
                None => out.push(Attribute {
                    name,
                    values: vec![value],
                }),
            }
        }
        out.iter()
            .try_for_each(|attribute| self.check_count(attribute))?;
        Ok(out)
    }

    /// Refuses several values where the schema allows one.
    pub(crate) fn check_count(&self, attribute: &Attribute) -> Result<(), ValueError> {
        let count = attribute.values.len();
        if count > 1 && self.multi_valued(&attribute.name) == Some(false) {
            return Err(ValueError::SingleValued {
                name: attribute.name.clone(),
                count,
            });
        }
        Ok(())
    }

    /// Refuses what the schema says cannot be given at creation, and the lack of what has to be.
    pub(crate) fn check_create(&self, given: &[Attribute]) -> Result<(), ValueError> {
        let of = |name: &str| self.known(name);
        if let Some(given) = given
            .iter()
            .find(|given| of(&given.name).is_some_and(|schema| !schema.creatable))
        {
            return Err(ValueError::NotAtCreation {
                name: given.name.clone(),
            });
        }
        let mut missing: Vec<_> = self
            .attributes
            .values()
            .filter(|schema| schema.required && schema.creatable)
            .map(|schema| schema.name.as_str())
            .filter(|name| given.iter().all(|given| given.name != *name))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        Err(ValueError::Missing {
            names: missing.join(", "),
        })
    }

    fn unknown(&self, name: &str) -> ValueError {
        let known = self.attributes.keys().map(String::as_str);
        ValueError::UnknownAttribute {
            name: name.to_owned(),
            class: self.class.word().to_owned(),
            known: nearest_first(name, known),
        }
    }
}

/// Secret attributes, each read from its file.
pub(crate) fn secret_attributes(files: &[SecretFile]) -> Result<Vec<Attribute>, CliError> {
    files
        .iter()
        .map(|file| {
            Ok(Attribute {
                name: file.name.clone(),
                values: vec![Value {
                    kind: Some(Kind::Secret(read_secret_file(&file.path)?)),
                }],
            })
        })
        .collect()
}

/// A value of this type for an attribute of this name was expected.
pub(crate) fn wrong_type(name: &str, value_type: ValueType) -> ValueError {
    ValueError::WrongType {
        name: name.to_owned(),
        expected: match value_type {
            ValueType::Integer => "a whole number",
            ValueType::Boolean => "true or false (or yes or no, 1 or 0)",
            ValueType::Binary => "base64",
            ValueType::Real => "a number",
            ValueType::Time => {
                "a time in UTC such as 2026-11-21T23:40:00Z, or a day such as 2026-11-21"
            }
            other => type_word(other),
        },
    }
}

/// What stands for true and for false, in any case: English words, digits, and what spreadsheets
/// write in German, French, Spanish, Italian, Dutch and Portuguese.
const BOOLEANS: [(&[&str], bool); 2] = [
    (
        &[
            "true",
            "yes",
            "1",
            "wahr",
            "vrai",
            "verdadero",
            "vero",
            "waar",
            "verdadeiro",
        ],
        true,
    ),
    (
        &["false", "no", "0", "falsch", "faux", "falso", "onwaar"],
        false,
    ),
];

/// True or false, as it is written by hand or by a spreadsheet.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let is = |word: &&str| text.eq_ignore_ascii_case(word);
    let written = BOOLEANS.iter().find(|(words, _)| words.iter().any(is));
    written.map(|(_, value)| *value)
}

/// The text as a value of this type; `None` where it is none.
pub(crate) fn convert(value_type: ValueType, text: &str) -> Option<Kind> {
    Some(match value_type {
        ValueType::Text | ValueType::Unspecified => Kind::Text(text.to_owned()),
        ValueType::Integer => Kind::Integer(text.parse().ok()?),
        ValueType::Boolean => Kind::Boolean(boolean(text)?),
        ValueType::Binary => Kind::Binary(BASE64.decode(text.as_bytes()).ok()?),
        ValueType::Real => Kind::Real(text.parse().ok().filter(|n: &f64| n.is_finite())?),
        ValueType::Time => {
            let of_day = format!("{text}T00:00:00Z");
            let moment = [text, &of_day]
                .into_iter()
                .find(|moment| humantime::parse_rfc3339(moment).is_ok());
            Kind::Time(moment?.to_owned())
        }
        ValueType::Secret => return None,
    })
}

/// The text as it is compared, as a value of this type; `None` where it is none.
pub(crate) fn plain(value_type: ValueType, text: &str) -> Option<Plain<'_>> {
    match value_type {
        ValueType::Text | ValueType::Unspecified => Some(Plain::bytes(text.as_bytes())),
        ValueType::Integer => text.parse().ok().map(Plain::integer),
        ValueType::Boolean => boolean(text).map(Plain::boolean),
        other => Some(
            Plain::of(&Value {
                kind: Some(convert(other, text)?),
            })
            .into_owned(),
        ),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use portcullis_proto::gateway::v1::ObjectClass;

    use super::*;

    /// A schema of accounts with one attribute of each kind that matters.
    pub(crate) fn typing() -> Typing {
        let attribute = |name: &str, value_type: ValueType, multi_valued| AttributeSchema {
            name: name.to_owned(),
            r#type: value_type.into(),
            multi_valued,
            ..AttributeSchema::default()
        };
        Typing::new(
            ObjectClass::Account,
            Some(Schema {
                classes: vec![ClassSchema {
                    object_class: ObjectClass::Account.into(),
                    attributes: vec![
                        attribute("uid", ValueType::Integer, false),
                        attribute("shell", ValueType::Text, false),
                        attribute("groups", ValueType::Text, true),
                        attribute("pin", ValueType::Secret, false),
                    ],
                    verbs: Vec::new(),
                    ..ClassSchema::default()
                }],
                ..Schema::default()
            }),
        )
    }

    fn gather(texts: &[&str]) -> Result<Vec<Attribute>, ValueError> {
        let assignments: Vec<Assignment> = texts.iter().map(|t| t.parse().unwrap()).collect();
        typing().attributes(&assignments)
    }

    #[test]
    fn the_schema_gives_types_and_repetition_gives_several_values() {
        let out = gather(&["uid=1000", "groups=a", "shell=/bin/sh", "groups=b"]).unwrap();
        assert_eq!(out[0].values[0].kind, Some(Kind::Integer(1000)));
        assert_eq!(out[1].name, "groups");
        assert_eq!(out[1].values.len(), 2);
        assert_eq!(out[2].values[0].kind, Some(Kind::Text("/bin/sh".into())));
        let out = gather(&["UID=7", "Groups;x=a", "groups;X=b"]).unwrap();
        assert_eq!(out[0].name, "uid");
        assert_eq!(out[0].values[0].kind, Some(Kind::Integer(7)));
        assert_eq!(
            (out[1].name.as_str(), out[2].name.as_str()),
            ("groups;x", "groups;X")
        );
        let out = gather(&["other:bool=true"]).unwrap();
        assert_eq!(out[0].values[0].kind, Some(Kind::Boolean(true)));
    }

    #[test]
    fn true_and_false_are_taken_as_spreadsheets_write_them() {
        for (text, expected) in [
            ("true", Some(true)),
            ("TRUE", Some(true)),
            ("Yes", Some(true)),
            ("1", Some(true)),
            ("WAHR", Some(true)),
            ("FALSE", Some(false)),
            ("no", Some(false)),
            ("0", Some(false)),
            ("FAUX", Some(false)),
            ("", None),
            ("2", None),
            ("y", None),
            (" true", None),
        ] {
            assert_eq!(boolean(text), expected, "{text}");
        }
    }

    #[test]
    fn each_mistake_is_told_apart() {
        for (texts, expected) in [
            (&["uid=ten"][..], "`uid` takes a whole number"),
            (
                &["uid=1", "uid=2"],
                "`uid` takes one value, and 2 were given",
            ),
            (
                &["shel=/bin/sh"],
                "the resource has no attribute `shel` for accounts; it has shell, pin, uid, groups",
            ),
            (
                &["pin=1234"],
                "`pin` is a secret: give it with --secret-file pin=FILE",
            ),
            (
                &["x:time=yesterday"],
                "`x` takes a time in UTC such as 2026-11-21T23:40:00Z, or a day such as 2026-11-21",
            ),
        ] {
            assert_eq!(gather(texts).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_text_is_compared_as_its_value_is() {
        for (value_type, text) in [
            (ValueType::Text, " a"),
            (ValueType::Integer, "007"),
            (ValueType::Integer, "x"),
            (ValueType::Boolean, "YES"),
            (ValueType::Boolean, "maybe"),
            (ValueType::Real, "1.50"),
            (ValueType::Binary, "AAEC"),
            (ValueType::Binary, "?"),
            (ValueType::Time, "2030-01-01"),
            (ValueType::Secret, "x"),
        ] {
            let bytes = plain(value_type, text).map(|plain| plain.as_bytes().to_vec());
            let value = convert(value_type, text).map(|kind| Value { kind: Some(kind) });
            let expected = value.map(|value| Plain::of(&value).as_bytes().to_vec());
            assert_eq!(bytes, expected, "{text}");
        }
    }

    #[test]
    fn a_day_is_its_beginning() {
        for (text, expected) in [
            ("2030-01-01", Some("2030-01-01T00:00:00Z")),
            ("2030-01-01T12:00:00Z", Some("2030-01-01T12:00:00Z")),
            ("2030-13-01", None),
            ("2030-02-30", None),
            ("2030-1-1", None),
            ("", None),
            ("tomorrow", None),
        ] {
            let time = expected.map(|time| Kind::Time(time.to_owned()));
            assert_eq!(convert(ValueType::Time, text), time, "{text}");
        }
    }

    #[test]
    fn without_a_schema_everything_is_text() {
        let typing = Typing::new(ObjectClass::Group, None);
        let value = typing.value(&"gid".parse().unwrap(), "5").unwrap();
        assert_eq!(value.kind, Some(Kind::Text("5".into())));
    }
}
