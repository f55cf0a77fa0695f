//! What comes back from a resource: objects, schemas, results of actions, values.

use std::collections::HashSet;
use std::time::SystemTime;

use data_encoding::BASE64;
use portcullis_proto::gateway::v1::done::Detail;
use portcullis_proto::gateway::v1::value::Kind;
use portcullis_proto::gateway::v1::{
    Attribute, Failure, NativeError, Object, RunResult, Value as AttributeValue, ValueType,
};
use serde_json::{Map, Value, json};

use crate::class::Class;
use crate::error::failure_word;
use crate::view::{GAP, View, facts, list, list_width, printable};

/// Puts what a call gave back beside the rest of what is told of it.
pub(crate) fn insert_detail(out: &mut Value, detail: Option<&Detail>) {
    match detail {
        Some(Detail::Object(object)) => out["object"] = object.json(),
        Some(Detail::Schema(schema)) => out["schema"] = schema.json(),
        Some(Detail::Run(run)) => out["run"] = run.json(),
        Some(Detail::Report(report)) => out["report"] = report.clone().into(),
        None => {}
    }
}

/// Puts why a call failed beside the rest of what is told of it.
pub(crate) fn insert_failure(out: &mut Value, failure: &Failure) {
    out["kind"] = failure_word(failure.kind()).into();
    if let Some(NativeError { code, text }) = &failure.native {
        out["native"] = json!({ "code": code, "text": text });
    }
}

/// One object.
impl View for Object {
    fn table(&self, _: SystemTime) -> String {
        let class = Class::new(self.object_class(), &self.class_name);
        let head = [
            (class.word(), Some(self.name.clone())),
            ("id", Some(self.id.clone())),
            ("state", self.enabled.map(|on| enabled_word(on).to_owned())),
        ];
        let attributes = self
            .attributes
            .iter()
            .map(|a| (a.name.as_str(), Some(values_text(&a.values))));
        facts(head.into_iter().chain(attributes))
    }

    fn json(&self) -> Value {
        json!({
            "class": Class::new(self.object_class(), &self.class_name).word(),
            "id": self.id,
            "name": self.name,
            "enabled": self.enabled,
            "attributes": attributes_json(&self.attributes),
        })
    }
}

/// A table of objects. With `all`, every attribute that any of them has is a column; otherwise only
/// those that fit on a line and say something that no column before them says, and a last line
/// names the others.
pub(crate) fn object_table(objects: &[Object], all: bool) -> String {
    let stateful = objects.iter().any(|object| object.enabled.is_some());
    let mut columns = vec![
        Column::new("name", objects, |object| object.name.clone()),
        Column::new("id", objects, |object| object.id.clone()),
    ];
    if stateful {
        columns.push(Column::new("state", objects, |object| {
            object.enabled.map_or("", enabled_word).to_owned()
        }));
    }
    let available = list_width();
    let mut left_out = Vec::new();
    for name in attribute_names(objects) {
        let column = Column::new(name, objects, |object| attribute_text(object, name));
        let taken: usize = columns.iter().map(|column| column.width).sum();
        let fits = taken + column.width <= available;
        let new = columns.iter().all(|other| other.cells != column.cells);
        if all || (fits && new) {
            columns.push(column);
        } else {
            left_out.push(name);
        }
    }
    let heading: Vec<_> = columns.iter().map(|column| column.title).collect();
    let mut cells: Vec<_> = columns
        .into_iter()
        .map(|column| column.cells.into_iter())
        .collect();
    let rows = objects
        .iter()
        .map(|_| cells.iter_mut().filter_map(Iterator::next).collect());
    let table = list(&heading, rows);
    if left_out.is_empty() {
        return table;
    }
    format!(
        "{table}\n\nnot shown: {} (--attribute NAME, or --output json)",
        printable(&left_out.join(", "))
    )
}

struct Column<'a> {
    title: &'a str,
    cells: Vec<String>,
    /// With the space after it.
    width: usize,
}

impl<'a> Column<'a> {
    fn new(title: &'a str, objects: &[Object], cell: impl Fn(&Object) -> String) -> Self {
        let cells: Vec<_> = objects.iter().map(cell).collect();
        let texts = cells.iter().map(String::as_str).chain([title]);
        let widest = texts.map(|text| printable(text).chars().count()).max();
        Self {
            title,
            cells,
            width: widest.unwrap_or_default() + GAP,
        }
    }
}

/// In the order in which the resource gives them.
fn attribute_names(objects: &[Object]) -> Vec<&str> {
    let mut seen = HashSet::new();
    objects
        .iter()
        .flat_map(|object| &object.attributes)
        .map(|attribute| attribute.name.as_str())
        .filter(|name| seen.insert(*name))
        .collect()
}

fn attribute_text(object: &Object, name: &str) -> String {
    object
        .attributes
        .iter()
        .find(|attribute| attribute.name == name)
        .map(|attribute| values_text(&attribute.values))
        .unwrap_or_default()
}

/// What an action gave back.
impl View for RunResult {
    fn table(&self, _: SystemTime) -> String {
        let code = self.exit_code.to_string();
        let results = self
            .results
            .iter()
            .map(|a| (a.name.as_str(), Some(values_text(&a.values))));
        facts(std::iter::once(("exit code", Some(code))).chain(results))
    }

    fn json(&self) -> Value {
        json!({ "exit_code": self.exit_code, "results": attributes_json(&self.results) })
    }
}

fn enabled_word(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

/// A value's type, as it is spelt in `NAME:TYPE=VALUE`.
pub(crate) fn type_word(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Text | ValueType::Unspecified => "text",
        ValueType::Integer => "integer",
        ValueType::Boolean => "boolean",
        ValueType::Binary => "binary",
        ValueType::Real => "real",
        ValueType::Time => "time",
        ValueType::Secret => "secret",
    }
}

/// A value for people. A secret is never shown, nor how long it is.
pub(crate) fn value_text(value: &AttributeValue) -> String {
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

/// A value for programs: `binary` is `{"base64": "…"}`, `secret` is `{"secret": true}`, whatever it
/// holds.
pub(crate) fn value_json(value: &AttributeValue) -> Value {
    match &value.kind {
        Some(Kind::Text(text) | Kind::Time(text)) => text.clone().into(),
        Some(Kind::Integer(number)) => (*number).into(),
        Some(Kind::Boolean(flag)) => (*flag).into(),
        // Infinities and NaN have no form in JSON.
        Some(Kind::Real(number)) => serde_json::Number::from_f64(*number)
            .map_or_else(|| number.to_string().into(), Value::Number),
        Some(Kind::Binary(bytes)) => json!({ "base64": BASE64.encode(bytes) }),
        Some(Kind::Secret(_)) => json!({ "secret": true }),
        None => Value::Null,
    }
}

/// `name` → its values, always an array, whether or not it is multi-valued.
pub(crate) fn attributes_json(attributes: &[Attribute]) -> Value {
    attributes
        .iter()
        .map(|attribute| {
            let values = attribute.values.iter().map(value_json).collect();
            (attribute.name.clone(), Value::Array(values))
        })
        .collect::<Map<_, _>>()
        .into()
}

/// Values on one line.
pub(crate) fn values_text(values: &[AttributeValue]) -> String {
    values.iter().map(value_text).collect::<Vec<_>>().join(", ")
}
