//! Accounts and groups, and what came of a call.

use std::collections::BTreeSet;
use std::time::SystemTime;

use portcullis_proto::gateway::v1::{Object, ObjectClass, RunResult};
use serde_json::{Value, json};

use super::View;
use super::table::{facts, list};
use super::value::{attributes_json, values_text};

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

/// A table of objects: the columns are the attributes that any of them has.
pub(in crate::admin_cli) fn object_table(objects: &[Object]) -> String {
    let names: BTreeSet<&str> = objects
        .iter()
        .flat_map(|object| &object.attributes)
        .map(|attribute| attribute.name.as_str())
        .collect();
    let stateful = objects.iter().any(|object| object.enabled.is_some());
    let mut heading = vec!["name", "id"];
    if stateful {
        heading.push("state");
    }
    heading.extend(&names);
    let rows = objects.iter().map(|object| {
        let mut row = vec![object.name.clone(), object.id.clone()];
        if stateful {
            row.push(object.enabled.map_or("", enabled_word).to_owned());
        }
        row.extend(names.iter().map(|name| {
            object
                .attributes
                .iter()
                .find(|attribute| attribute.name == *name)
                .map(|attribute| values_text(&attribute.values))
                .unwrap_or_default()
        }));
        row
    });
    list(&heading, rows)
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
pub(in crate::admin_cli) fn class_word(class: ObjectClass) -> &'static str {
    match class {
        ObjectClass::Account => "account",
        ObjectClass::Group => "group",
        ObjectClass::Unspecified => "object",
    }
}

fn enabled_word(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}
