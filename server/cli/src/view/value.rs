//! Attribute values.

use data_encoding::BASE64;
use portcullis_proto::gateway::v1::{Attribute, Value, value::Kind};
use serde_json::{Map, Value as Json, json};

/// A value for people. A secret is never shown, nor how long it is.
pub(crate) fn value_text(value: &Value) -> String {
    match &value.kind {
        Some(Kind::Text(text) | Kind::Time(text)) => text.clone(),
        Some(Kind::Integer(number)) => number.to_string(),
        Some(Kind::Boolean(flag)) => flag.to_string(),
        Some(Kind::Real(number)) => number.to_string(),
        Some(Kind::Binary(bytes)) => format!("base64:{}", BASE64.encode(bytes)),
        Some(Kind::Secret(_)) => "(secret)".to_owned(),
        None => String::new(),
    }
}

/// A value for programs: `binary` is `{"base64": "…"}`, `secret` is `{"secret": true}`, whatever it holds.
pub(crate) fn value_json(value: &Value) -> Json {
    match &value.kind {
        Some(Kind::Text(text) | Kind::Time(text)) => text.clone().into(),
        Some(Kind::Integer(number)) => (*number).into(),
        Some(Kind::Boolean(flag)) => (*flag).into(),
        // Infinities and NaN have no form in JSON.
        Some(Kind::Real(number)) => serde_json::Number::from_f64(*number)
            .map_or_else(|| number.to_string().into(), Json::Number),
        Some(Kind::Binary(bytes)) => json!({ "base64": BASE64.encode(bytes) }),
        Some(Kind::Secret(_)) => json!({ "secret": true }),
        None => Json::Null,
    }
}

/// `name` → its values, always an array, whether or not it is multi-valued.
pub(crate) fn attributes_json(attributes: &[Attribute]) -> Json {
    attributes
        .iter()
        .map(|attribute| {
            let values = attribute.values.iter().map(value_json).collect();
            (attribute.name.clone(), Json::Array(values))
        })
        .collect::<Map<_, _>>()
        .into()
}

/// Values on one line.
pub(crate) fn values_text(values: &[Value]) -> String {
    values.iter().map(value_text).collect::<Vec<_>>().join(", ")
}
