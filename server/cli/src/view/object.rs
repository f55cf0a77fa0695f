//! Accounts and groups, and what came of a call.

use std::collections::HashSet;
use std::time::SystemTime;

use portcullis_proto::gateway::v1::{Object, ObjectClass, RunResult};
use serde_json::{Value, json};

use super::View;
use super::value::{attributes_json, values_text};
use super::{GAP, WIDTH, facts, list};
use crate::view::printable;

/// One object.
impl View for Object {
    fn table(&self, _: SystemTime) -> String {
        let head = [
            (class_word(self.object_class()), Some(self.name.clone())),
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
            "class": class_word(self.object_class()),
            "id": self.id,
            "name": self.name,
            "enabled": self.enabled,
            "attributes": attributes_json(&self.attributes),
        })
    }
}

/// A table of objects. With `all`, every attribute that any of them has is a column; otherwise only those that fit on a
/// line and say something that no column before them says, and a last line names the others.
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
    let mut left_out = Vec::new();
    for name in attribute_names(objects) {
        let column = Column::new(name, objects, |object| attribute_text(object, name));
        let width: usize = columns.iter().map(Column::width).sum();
        let fits = width + column.width() <= usize::from(WIDTH);
        let new = columns.iter().all(|other| other.cells != column.cells);
        if all || (fits && new) {
            columns.push(column);
        } else {
            left_out.push(name);
        }
    }
    let heading: Vec<_> = columns.iter().map(|column| column.title).collect();
    let rows = (0..objects.len()).map(|row| {
        columns
            .iter()
            .map(|column| column.cells[row].clone())
            .collect()
    });
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
}

impl<'a> Column<'a> {
    fn new(title: &'a str, objects: &[Object], cell: impl Fn(&Object) -> String) -> Self {
        Self {
            title,
            cells: objects.iter().map(cell).collect(),
        }
    }

    /// With the space after it.
    fn width(&self) -> usize {
        let texts = self.cells.iter().map(String::as_str);
        texts
            .chain([self.title])
            .map(|text| printable(text).chars().count())
            .max()
            .unwrap_or_default()
            + GAP
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

/// The class as the command spells it.
pub(crate) fn class_word(class: ObjectClass) -> &'static str {
    match class {
        ObjectClass::Account => "account",
        ObjectClass::Group => "group",
        ObjectClass::Unspecified => "object",
    }
}

fn enabled_word(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}
