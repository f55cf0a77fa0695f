//! JSON Lines: one object a line.
//!
//! JSON that goes over several lines is not read line by line: of an array, a line here and there
//! would look like an object. The shape of the whole file is checked before its first row is read.

use std::collections::BTreeSet;

use portcullis_host::json::{self, JsonError};
use portcullis_proto::gateway::v1::{Attribute, Secret, Value, ValueType, value::Kind};
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::row::{Compared, FileFault, Lines, Row, RowError, RowPlace, Rows};
use crate::input::assignment::TypedName;
use crate::input::typing::{Typing, wrong_type};

/// The rows of a file of JSON Lines.
pub(crate) struct JsonLines<'a> {
    lines: Lines<'a>,
    typing: &'a Typing,
}

impl<'a> JsonLines<'a> {
    /// Of a file that was [checked](check).
    pub(crate) fn new(content: &'a [u8], typing: &'a Typing) -> Self {
        Self {
            lines: Lines::new(content),
            typing,
        }
    }

    fn read(
        &self,
        line: u64,
        text: &str,
        name: &mut Option<String>,
    ) -> Result<Row, (String, String)> {
        let whole = |problem: &str| (String::new(), problem.to_owned());
        // The errors of the parser name a place and never a value; those of typed decoding would.
        let value = json::parse(text).map_err(|error| match error {
            JsonError::Syntax(error) => (
                format!("character {}", error.column()),
                "this is no JSON".to_owned(),
            ),
            JsonError::Repeated(name) => at(&name, "is there twice"),
        })?;
        let Json::Object(members) = value else {
            return Err(whole("the line is no JSON object"));
        };
        match members.get("name") {
            Some(Json::String(text)) if !text.is_empty() => *name = Some(text.clone()),
            Some(_) => return Err(at("name", "takes a text that is not empty")),
            None => return Err(whole("there is no `name`")),
        }
        let mut row = Row::new(line, name.clone().unwrap_or_default());
        for (member, value) in members {
            match (member.as_str(), value) {
                ("name", _) | ("password" | "enabled" | "attributes", Json::Null) => {}
                ("password", Json::String(text)) if text.is_empty() => {
                    return Err(at("password", "is empty; leave it out for none"));
                }
                ("password", Json::String(text)) => {
                    row.password = Some(Zeroizing::new(text.into_bytes()));
                }
                ("password", _) => return Err(at("password", "takes a text, in quotes")),
                ("enabled", Json::Bool(flag)) => row.enabled = Some(flag),
                ("enabled", _) => return Err(at("enabled", "takes true or false")),
                ("attributes", Json::Object(attributes)) => {
                    for (name, value) in attributes {
                        let attribute = self.attribute(&name, value)?;
                        // With and without its type, it is one attribute.
                        if let Some(new) = &attribute
                            && row.attributes.iter().any(|old| old.name == new.name)
                        {
                            return Err(at(&new.name, "is there twice"));
                        }
                        row.attributes.extend(attribute);
                    }
                }
                ("attributes", _) => return Err(at("attributes", "takes an object")),
                (other, _) => {
                    return Err(at(
                        other,
                        "is not known: a line has name, password, enabled and attributes",
                    ));
                }
            }
        }
        Ok(row)
    }

    fn attribute(&self, title: &str, json: Json) -> Result<Option<Attribute>, (String, String)> {
        let mut of: TypedName = title
            .parse()
            .map_err(|error| (title.to_owned(), format!("{error}")))?;
        of.name = self.typing.spelled(&of.name);
        let values = match json {
            Json::Null => return Ok(None),
            Json::Array(values) => values,
            one => vec![one],
        };
        let attribute = Attribute {
            values: values
                .into_iter()
                .map(|value| self.value(&of, value))
                .collect::<Result<_, _>>()
                .map_err(|problem| (title.to_owned(), problem))?,
            name: of.name,
        };
        self.typing
            .check_count(&attribute)
            .map_err(|error| (title.to_owned(), error.to_string()))?;
        Ok(Some(attribute))
    }

    fn value(&self, of: &TypedName, json: Json) -> Result<Value, String> {
        let value_type = self.typing.type_of(of).map_err(|error| error.to_string())?;
        let wrong = || wrong_type(&of.name, value_type).to_string();
        let kind = match (value_type, json) {
            (ValueType::Secret, Json::String(text)) => {
                Kind::Secret(Secret::plain(text.into_bytes()))
            }
            (_, Json::String(text)) => {
                return self.typing.value(of, &text).map_err(|e| e.to_string());
            }
            (ValueType::Integer, Json::Number(number)) => {
                Kind::Integer(number.as_i64().ok_or_else(wrong)?)
            }
            (ValueType::Real, Json::Number(number)) => {
                Kind::Real(number.as_f64().ok_or_else(wrong)?)
            }
            (ValueType::Text | ValueType::Unspecified, Json::Number(number)) => {
                Kind::Text(number.to_string())
            }
            (ValueType::Boolean, Json::Bool(flag)) => Kind::Boolean(flag),
            _ => return Err(wrong()),
        };
        Ok(Value { kind: Some(kind) })
    }
}

impl Rows for JsonLines<'_> {
    fn next_row(&mut self) -> Option<Result<Row, RowError>> {
        let (line, text) = self.lines.next_line()?;
        Some(self.row(line, text))
    }

    fn titles(&self) -> Option<BTreeSet<String>> {
        None
    }

    fn next_compared(&mut self, row: &mut Compared) -> Option<Result<(), RowError>> {
        let (line, text) = self.lines.next_line()?;
        let offset = self.lines.begin();
        let read = self.row(line, text).and_then(Row::sound);
        Some(read.map(|read| row.take(read, RowPlace { line, offset })))
    }

    fn at(&mut self, place: RowPlace) -> Option<Result<Row, RowError>> {
        let (line, text) = self.lines.at(place)?;
        Some(self.row(line, text))
    }

    fn position(&self) -> u64 {
        self.lines.position()
    }
}

impl JsonLines<'_> {
    fn row(&self, line: u64, text: Result<&str, String>) -> Result<Row, RowError> {
        let mut name = None;
        let read = text
            .map_err(|problem| (String::new(), problem))
            .and_then(|text| self.read(line, text, &mut name));
        read.map_err(|(place, problem)| RowError {
            line,
            place,
            name,
            problem,
        })
    }
}

/// Checks that no value goes over several lines.
pub(crate) fn check(content: &[u8]) -> Result<(), FileFault> {
    let mut lines = Lines::new(content);
    while let Some((line, text)) = lines.next_line() {
        if text.is_ok_and(goes_on) {
            return Err(FileFault {
                line,
                problem: "a value goes over several lines, as in a JSON array: JSON Lines has one object on each line (`jq -c '.[]' FILE` makes them of an array)".to_owned(),
            });
        }
    }
    Ok(())
}

/// Whether a line is a piece of a value that began before it or ends after it.
fn goes_on(line: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(line).into_iter::<IgnoredAny>();
    match values.next() {
        // The end of a value, or what stands between two.
        _ if line.trim_start().starts_with([']', '}', ',']) => true,
        Some(Err(error)) => error.is_eof(),
        Some(Ok(_)) => {
            let rest = line.get(values.byte_offset()..).unwrap_or_default();
            rest.trim_start().starts_with([',', ']', '}', ':'])
        }
        None => false,
    }
}

fn at(member: &str, problem: &str) -> (String, String) {
    (format!("`{member}`"), problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::typing::tests::typing;

    #[test]
    fn what_is_said_twice_makes_no_account() {
        let typing = typing();
        for (line, said) in [
            (r#"{"name":"a","name":"b"}"#, "`name`: is there twice"),
            (
                r#"{"name":"a","password":"x","password":"y"}"#,
                "`password`: is there twice",
            ),
            (
                r#"{"name":"a","attributes":{"shell":"/bin/sh","shell":"/bin/bash"}}"#,
                "`shell`: is there twice",
            ),
            (
                r#"{"name":"a","attributes":{"shell":"/bin/sh","shell:text":"/bin/bash"}}"#,
                "`shell`: is there twice",
            ),
        ] {
            let mut rows = JsonLines::new(line.as_bytes(), &typing);
            let Some(Err(error)) = rows.next_row() else {
                panic!("{line} is read")
            };
            assert_eq!(error.to_string(), said, "{line}");
        }
    }

    #[test]
    fn pieces_of_a_value_are_told_from_lines_that_are_wrong() {
        for piece in [
            "[",
            " {\"name\":\"a\"},",
            "]",
            "{",
            "\"name\": \"a\",",
            "\"name\": \"a\"",
            "},",
            "}]",
            "{\"people\":[",
            "  ] }",
            "{\"name\":\"a\"",
            ", {\"name\":\"a\"}",
            "{\"name\":\"a\"}]",
            "{\"name\":\"a",
        ] {
            assert!(goes_on(piece), "{piece}");
        }
        for line in [
            "{\"name\":\"a\"}",
            "[\"a\"]",
            "[]",
            "3",
            "{\"name\":hunter2}",
            "nonsense",
            "{\"name\":\"a\"} x",
            "{'name':'a'}",
        ] {
            assert!(!goes_on(line), "{line}");
        }
    }
}
