//! What the schema of a resource says, for people and for programs.

use std::fmt::Write;
use std::time::SystemTime;

use portcullis_proto::gateway::v1::{AttributeSchema, ClassSchema, Schema, ValueType};
use serde_json::{Value, json};

use crate::class::Class;
use crate::detail::type_word;
use crate::view::{View, list, printable, some};

impl View for Schema {
    fn table(&self, _: SystemTime) -> String {
        let mut out = String::new();
        for class in &self.classes {
            // Writing to a String does not fail.
            let _ = writeln!(
                out,
                "{}: {}",
                printable(Class::new(class.object_class(), &class.class_name).word()),
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

fn attribute_table(class: &ClassSchema) -> String {
    let told = class.attributes.iter().any(|it| !syntax_of(it).is_empty());
    let rows = class.attributes.iter().map(|attribute| {
        let mut row = vec![
            attribute.name.clone(),
            type_of(attribute),
            uses(attribute).join(", "),
            attribute.description.clone(),
        ];
        if told {
            row.insert(2, syntax_of(attribute));
        }
        row
    });
    if told {
        list(
            &["attribute", "type", "at the target", "use", "description"],
            rows,
        )
    } else {
        list(&["attribute", "type", "use", "description"], rows)
    }
}

fn type_of(attribute: &AttributeSchema) -> String {
    let many = if attribute.multi_valued {
        ", several"
    } else {
        ""
    };
    format!("{}{many}", type_word(attribute.r#type()))
}

/// A gateway that does not say so has nothing that cannot be read.
fn is_readable(attribute: &AttributeSchema) -> bool {
    attribute.readable.unwrap_or(true)
}

/// The target's own type: its name, or else its syntax.
fn syntax_of(attribute: &AttributeSchema) -> String {
    let names = [&attribute.source, &attribute.syntax];
    let mut names = names.into_iter().filter(|name| !name.is_empty());
    names.next().cloned().unwrap_or_default()
}

fn uses(attribute: &AttributeSchema) -> Vec<&'static str> {
    [
        (attribute.required, "required"),
        (attribute.creatable, "create"),
        (attribute.updatable, "update"),
        (!is_readable(attribute), "never read"),
        (
            is_readable(attribute) && !attribute.returned_by_default,
            "on request",
        ),
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
                "readable": is_readable(a),
                "returned_by_default": a.returned_by_default,
                "binary": a.r#type() == ValueType::Binary,
                "syntax": some(&a.syntax),
                "source": some(&a.source),
                "description": a.description,
            })
        })
        .collect();
    json!({
        "class": Class::new(class.object_class(), &class.class_name).word(),
        "verbs": class.verbs,
        "attributes": attributes,
    })
}
