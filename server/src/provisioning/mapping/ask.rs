//! A call as the resource has it.

use std::collections::BTreeSet;

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::filter::Kind;
use portcullis_proto::gateway::v1::value::Kind as ValueKind;
use portcullis_proto::gateway::v1::{
    Attribute, Call, Create, Filter, Modification, ModificationOperation, Update, Value,
};

use super::template::Template;
use super::{Mapping, MappingError, NAME, Rules};

/// Filters deeper than a gateway takes them are left to its refusal.
const MAX_DEPTH: usize = 64;

impl Mapping {
    /// Turns a call into what the resource takes.
    ///
    /// # Errors
    /// [`MappingError`], which says what the call lacks or has too much.
    pub fn ask(&self, call: &mut Call) -> Result<(), MappingError> {
        match &mut call.verb {
            Some(Verb::Create(create)) => match self.of(create.object_class) {
                Some(rules) => rules.create(create),
                None => Ok(()),
            },
            Some(Verb::Update(update)) => {
                let class = update.object.as_ref().map(|object| object.object_class);
                match class.and_then(|class| self.of(class)) {
                    Some(rules) => rules.update(update),
                    None => Ok(()),
                }
            }
            Some(Verb::Get(get)) => {
                let class = get.object.as_ref().map(|object| object.object_class);
                if let Some(rules) = class.and_then(|class| self.of(class)) {
                    rules.names(&mut get.attribute_names);
                }
                Ok(())
            }
            Some(Verb::Search(search)) => {
                let Some(rules) = self.of(search.object_class) else {
                    return Ok(());
                };
                rules.names(&mut search.attribute_names);
                // A digest is over the names that the resource has.
                search.digest_key.clear();
                search
                    .filter
                    .as_mut()
                    .map_or(Ok(()), |filter| rules.filter(filter, 0))
            }
            _ => Ok(()),
        }
    }
}

impl Rules {
    fn create(&self, create: &mut Create) -> Result<(), MappingError> {
        let given = std::mem::take(&mut create.attributes);
        let find = |name: &str| given.iter().find(|attribute| attribute.name == name);
        let mut made = Vec::new();
        let mut name = None;
        for (target, template) in &self.0 {
            let source = template
                .renamed()
                .filter(|source| *source != NAME && target != NAME);
            if let Some(source) = source {
                made.extend(find(source).map(|attribute| Attribute {
                    name: target.clone(),
                    values: attribute.values.clone(),
                }));
                continue;
            }
            let text = rendered(target, template, |field| match field {
                NAME => Some(One::Text(create.name.clone())),
                field => find(field).map(|attribute| One::of(&attribute.values)),
            })?;
            match target.as_str() {
                NAME => name = Some(text),
                target => made.push(attribute(target, text)),
            }
        }
        made.extend(
            given
                .into_iter()
                .filter(|attribute| !self.takes(&attribute.name)),
        );
        let mut seen = BTreeSet::new();
        if let Some(twice) = made
            .iter()
            .find(|attribute| !seen.insert(attribute.name.as_str()))
        {
            return Err(MappingError::Twice(twice.name.clone()));
        }
        create.attributes = made;
        if let Some(name) = name {
            create.name = name;
        }
        Ok(())
    }

    fn update(&self, update: &mut Update) -> Result<(), MappingError> {
        let given = std::mem::take(&mut update.modifications);
        // One that is also added to or removed from has no value that is known.
        let replaced = |name: &str| {
            let mut changes = given.iter().filter(|change| change.name == name);
            let replace =
                |change: &&Modification| change.operation() == ModificationOperation::Replace;
            if !changes.clone().all(|change| replace(&change)) {
                return None;
            }
            Some(One::of(&changes.next_back()?.values))
        };
        let touched = |template: &Template| {
            template
                .fields()
                .any(|field| given.iter().any(|change| change.name == field))
        };
        let mut made = Vec::new();
        let mut used = BTreeSet::new();
        for (target, template) in self.derived().filter(|(_, template)| touched(template)) {
            if template.fields().any(|field| replaced(field).is_none()) {
                continue;
            }
            used.extend(template.fields());
            let text = rendered(target, template, replaced)?;
            made.push(Modification {
                operation: ModificationOperation::Replace.into(),
                name: target.to_owned(),
                values: attribute(target, text).values,
            });
        }
        let mut changes = Vec::new();
        for change in &given {
            let before = changes.len();
            let renames = self.renames().filter(|(_, source)| *source == change.name);
            changes.extend(renames.map(|(target, _)| Modification {
                name: target.to_owned(),
                ..change.clone()
            }));
            if changes.len() > before {
                continue;
            }
            if let Some((target, template)) = self.derived().find(|(_, template)| {
                template.fields().any(|field| field == change.name)
                    && template.fields().any(|field| replaced(field).is_none())
            }) {
                let fields: Vec<_> = template.fields().collect();
                return Err(MappingError::Partly {
                    target: target.to_owned(),
                    fields: fields.join(", "),
                });
            }
            if !used.contains(change.name.as_str()) {
                changes.push(change.clone());
            }
        }
        changes.extend(made);
        update.modifications = changes;
        Ok(())
    }

    fn names(&self, names: &mut [String]) {
        for name in names {
            if let Some(there) = self.there(name) {
                *name = there.to_owned();
            }
        }
    }

    fn filter(&self, filter: &mut Filter, depth: usize) -> Result<(), MappingError> {
        match &mut filter.kind {
            _ if depth > MAX_DEPTH => Ok(()),
            Some(Kind::Comparison(comparison)) => match self.there(&comparison.attribute) {
                Some(there) => {
                    comparison.attribute = there.to_owned();
                    Ok(())
                }
                None if self.takes(&comparison.attribute) => {
                    Err(MappingError::NotSearched(comparison.attribute.clone()))
                }
                None => Ok(()),
            },
            Some(Kind::All(list) | Kind::Any(list)) => {
                let mut filters = list.filters.iter_mut();
                filters.try_for_each(|filter| self.filter(filter, depth + 1))
            }
            Some(Kind::Negation(filter)) => self.filter(filter, depth + 1),
            None => Ok(()),
        }
    }
}

/// The values of an attribute that a template takes.
enum One {
    Text(String),
    /// None, several, or one that is no text.
    Other,
}

impl One {
    fn of(values: &[Value]) -> Self {
        let [Value { kind: Some(kind) }] = values else {
            return Self::Other;
        };
        match kind {
            ValueKind::Text(text) => Self::Text(text.clone()),
            ValueKind::Integer(number) => Self::Text(number.to_string()),
            ValueKind::Boolean(truth) => Self::Text(truth.to_string()),
            _ => Self::Other,
        }
    }
}

fn rendered(
    target: &str,
    template: &Template,
    value: impl Fn(&str) -> Option<One>,
) -> Result<String, MappingError> {
    let text = template.render(|field| match value(field) {
        Some(One::Text(text)) => Ok(text),
        Some(One::Other) => Err(MappingError::Value {
            target: target.to_owned(),
            field: field.to_owned(),
        }),
        None => Err(MappingError::Lacks {
            target: target.to_owned(),
            field: field.to_owned(),
        }),
    });
    text?.ok_or_else(|| MappingError::TooLong(target.to_owned()))
}

fn attribute(name: &str, text: String) -> Attribute {
    Attribute {
        name: name.to_owned(),
        values: vec![Value {
            kind: Some(ValueKind::Text(text)),
        }],
    }
}
