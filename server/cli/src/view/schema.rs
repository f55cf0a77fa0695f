//! What a resource's connector can do.

use std::fmt::Write;
use std::time::SystemTime;

use portcullis_proto::gateway::v1::{AttributeSchema, ClassSchema, Schema, ValueType};
use serde_json::{Value, json};

use super::View;
use super::list;
use super::object::class_word;
use crate::view::printable;

impl View for Schema {
    fn table(&self, _: SystemTime) -> String {
        let mut out = String::new();
        for class in &self.classes {
            // Writing to a String does not fail.
            let _ = writeln!(
                out,
                "{}: {}",
                class_word(class.object_class()),
                printable(&class.verbs.join(", "))
            );
            if !class.attributes.is_empty() {
                let _ = writeln!(out, "\n{}\n", attribute_table(class));
            }
        }
        for (what, names) in [("settings", &self.settings), ("actions", &self.actions)] {
            if !names.is_empty() {
                let _ = writeln!(out, "{what}: {}", printable(&names.join(", ")));
            }
        }
        if out.is_empty() {
            out.push_str("the connector declares no classes, settings or actions");
        }
        out
    }

    fn json(&self) -> Value {
        let classes: Vec<_> = self.classes.iter().map(class_json).collect();
        json!({ "classes": classes, "settings": self.settings, "actions": self.actions })
    }
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

fn attribute_table(class: &ClassSchema) -> String {
    let rows = class.attributes.iter().map(|attribute| {
        vec![
            attribute.name.clone(),
            type_of(attribute),
            uses(attribute).join(", "),
            attribute.description.clone(),
        ]
    });
    list(&["attribute", "type", "use", "description"], rows)
}

fn type_of(attribute: &AttributeSchema) -> String {
    let many = if attribute.multi_valued {
        ", several"
    } else {
        ""
    };
    format!("{}{many}", type_word(attribute.r#type()))
}

fn uses(attribute: &AttributeSchema) -> Vec<&'static str> {
    [
        (attribute.required, "required"),
        (attribute.creatable, "create"),
        (attribute.updatable, "update"),
        (!attribute.returned_by_default, "on request"),
    ]
    .into_iter()
    .filter_map(|(applies, word)| applies.then_some(word))
    .collect()
}

fn class_json(class: &ClassSchema) -> Value {
    let attributes: Vec<_> = class
        .attributes
        .iter()
        .map(|a| {
            json!({
                "name": a.name,
                "type": type_word(a.r#type()),
                "multi_valued": a.multi_valued,
                "required": a.required,
                "creatable": a.creatable,
                "updatable": a.updatable,
                "returned_by_default": a.returned_by_default,
                "description": a.description,
            })
        })
        .collect();
    json!({
        "class": class_word(class.object_class()),
        "verbs": class.verbs,
        "attributes": attributes,
    })
}
