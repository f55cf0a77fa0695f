//! JSON Lines: one object a line.

use portcullis_proto::gateway::v1::{Attribute, Secret, Value, ValueType, value::Kind};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::row::{Row, RowError, RowFormat};
use crate::input::assignment::TypedName;
use crate::input::typing::{Typing, wrong_type};

/// JSON Lines.
pub(crate) struct JsonLines<'a> {
    pub(crate) typing: &'a Typing,
}

impl JsonLines<'_> {
    fn read(
        &self,
        line: u64,
        text: &str,
        name: &mut Option<String>,
    ) -> Result<Row, (String, String)> {
        let whole = |problem: &str| (String::new(), problem.to_owned());
        // The errors of the parser name a place and never a value; those of typed decoding would.
        let value: Json = serde_json::from_str(text).map_err(|error| {
            (
                format!("character {}", error.column()),
                "this is no JSON".to_owned(),
            )
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
                        row.attributes.extend(self.attribute(&name, value)?);
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
        let of: TypedName = title
            .parse()
            .map_err(|error| (title.to_owned(), format!("{error}")))?;
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

impl RowFormat for JsonLines<'_> {
    fn row(&self, line: u64, text: &str) -> Result<Row, RowError> {
        let mut name = None;
        self.read(line, text, &mut name)
            .map_err(|(place, problem)| RowError {
                line,
                place,
                name,
                problem,
            })
    }
}

fn at(member: &str, problem: &str) -> (String, String) {
    (format!("`{member}`"), problem.to_owned())
}
