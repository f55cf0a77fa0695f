//! What a change asks for, held against the object that the connector answers: a change whose
//! answer differs is not done, whoever the connector is.
//!
//! Only what every resource has to answer as it was asked is judged: whether an account is enabled,
//! its new name, and the attributes that a role says names or ids of. Other attributes a resource
//! may write in its own way. What the answer does not show is not judged.

use std::collections::BTreeSet;

use crate::model::{
    CallError, Modification, Object, ObjectClass, ObjectName, Operation, Request, Role, Roles,
    Value,
};

/// What the object has to be after the change.
#[derive(Debug, Default)]
pub(super) struct Asked {
    enabled: Option<bool>,
    name: Option<ObjectName>,
    attributes: Vec<(String, Has)>,
}

/// The values, in lower case, that an attribute has to have.
#[derive(Debug)]
enum Has {
    All(BTreeSet<String>),
    None(BTreeSet<String>),
    Just(BTreeSet<String>),
}

/// The roles of attributes whose values a resource keeps as they are given.
const JUDGED: [Role; 3] = [Role::NamesAccounts, Role::NamesGroups, Role::NumericId];

impl Asked {
    /// Of a request that changes an object.
    pub(super) fn of(request: &Request, roles: Roles<'_>) -> Self {
        let mut asked = Self::default();
        match request {
            Request::Create(create) => {
                asked.name = Some(create.name.clone());
                asked.enabled = (!create.enabled).then_some(false);
                for attribute in &create.attributes {
                    let name = attribute.name.as_str();
                    if is_judged(roles, create.class, name) {
                        let has = Has::All(texts(&attribute.values));
                        asked.attributes.push((name.to_owned(), has));
                    }
                }
            }
            Request::Update(update) => {
                let class = update.object.class;
                for Modification {
                    operation,
                    name,
                    values,
                } in &update.modifications
                {
                    let name = name.as_str();
                    let mut earlier = asked.attributes.iter();
                    let is_plain = !earlier.any(|(other, _)| other.eq_ignore_ascii_case(name));
                    if is_plain && is_judged(roles, class, name) {
                        let values = texts(values);
                        let has = match operation {
                            Operation::Add => Has::All(values),
                            Operation::Remove => Has::None(values),
                            Operation::Replace => Has::Just(values),
                        };
                        asked.attributes.push((name.to_owned(), has));
                    } else {
                        // Of several changes of one attribute, the connector knows the outcome.
                        asked
                            .attributes
                            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
                    }
                }
            }
            Request::Enable(_) => asked.enabled = Some(true),
            Request::Disable(_) => asked.enabled = Some(false),
            Request::Rename(_, name) => asked.name = Some(name.clone()),
            _ => {}
        }
        asked
    }

    /// Whether an answer is what was asked for.
    pub(super) fn check(&self, answer: &Object) -> Result<(), CallError> {
        let Some(difference) = self.difference(answer) else {
            return Ok(());
        };
        let identity = &answer.identity;
        Err(CallError::Indeterminate(format!(
            "the connector reports no error, but {} `{}` is not what was asked for: {difference}. Look at it before you try again",
            identity.class, identity.name
        )))
    }

    fn difference(&self, answer: &Object) -> Option<String> {
        match (self.enabled, answer.enabled) {
            (Some(true), Some(false)) => return Some("it is still disabled".to_owned()),
            (Some(false), Some(true)) => return Some("it is still enabled".to_owned()),
            _ => {}
        }
        if let Some(name) = &self.name {
            let present = answer.identity.name.as_str();
            if lower(present) != lower(name.as_str()) {
                return Some(format!("its name is to be `{name}`"));
            }
        }
        self.attributes
            .iter()
            .find_map(|(name, has)| has.difference(name, answer))
    }
}

impl Has {
    fn difference(&self, name: &str, answer: &Object) -> Option<String> {
        let mut attributes = answer.attributes.iter();
        let shown = attributes.find(|shown| shown.name.as_str().eq_ignore_ascii_case(name))?;
        let present = texts(&shown.values);
        let (missing, staying) = match self {
            Self::All(values) => (values.difference(&present).next(), None),
            Self::None(values) => (None, values.intersection(&present).next()),
            Self::Just(values) => (
                values.difference(&present).next(),
                present.difference(values).next(),
            ),
        };
        let missing = missing.map(|value| format!("`{name}` lacks `{value}`"));
        missing.or_else(|| staying.map(|value| format!("`{name}` still has `{value}`")))
    }
}

fn is_judged(roles: Roles<'_>, class: ObjectClass, name: &str) -> bool {
    JUDGED.iter().any(|role| roles.has(class, name, *role))
        && !roles.has(class, name, Role::Secret)
        && !roles.has(class, name, Role::Computed)
}

fn texts(values: &[Value]) -> BTreeSet<String> {
    let texts = values.iter().filter_map(|value| match value {
        Value::Text(text) => Some(lower(text)),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    });
    texts.collect()
}

/// A resource may not regard the case of names.
fn lower(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Attribute, AttributeName, AttributeRole, Create, Identity, ObjectId, ObjectRef, Selector,
        Update,
    };

    const ROLES: &[AttributeRole] = &[
        AttributeRole::new(ObjectClass::Account, "groups", Role::NamesGroups),
        AttributeRole::new(ObjectClass::Account, "uid", Role::NumericId),
    ];

    fn target() -> ObjectRef {
        ObjectRef {
            class: ObjectClass::Account,
            by: Selector::Name(ObjectName::new("ada").unwrap()),
        }
    }

    fn answer(name: &str, enabled: Option<bool>, groups: Option<&[&str]>) -> Object {
        let attribute = |values: &[&str]| Attribute {
            name: AttributeName::new("Groups").unwrap(),
            values: values
                .iter()
                .map(|v| Value::Text((*v).to_owned()))
                .collect(),
        };
        Object {
            identity: Identity {
                class: ObjectClass::Account,
                id: ObjectId::new("7").unwrap(),
                name: ObjectName::new(name).unwrap(),
            },
            enabled,
            attributes: groups.map(attribute).into_iter().collect(),
        }
    }

    fn change(operation: Operation, name: &str, values: &[&str]) -> Request {
        Request::Update(Update {
            object: target(),
            modifications: vec![Modification {
                operation,
                name: AttributeName::new(name).unwrap(),
                values: values
                    .iter()
                    .map(|v| Value::Text((*v).to_owned()))
                    .collect(),
            }],
        })
    }

    /// Changes with answers, and whether these say what was asked.
    fn answers() -> Vec<(Request, Object, bool)> {
        use Operation::{Add, Remove, Replace};
        let create = |enabled| {
            Request::Create(Create {
                class: ObjectClass::Account,
                name: ObjectName::new("ada").unwrap(),
                attributes: Vec::new(),
                password: None,
                enabled,
            })
        };
        let renaming = || Request::Rename(target(), ObjectName::new("eve").unwrap());
        let enabled = |enabled| answer("ada", Some(enabled), None);
        let grouped = |groups: &[&str]| answer("ada", None, Some(groups));
        vec![
            (Request::Enable(target()), enabled(true), true),
            (Request::Enable(target()), enabled(false), false),
            (Request::Enable(target()), answer("ada", None, None), true),
            (Request::Disable(target()), enabled(true), false),
            (create(false), enabled(true), false),
            (create(true), enabled(false), true),
            (create(true), answer("bob", Some(true), None), false),
            (renaming(), answer("Eve", None, None), true),
            (renaming(), answer("ada", None, None), false),
            (
                change(Add, "groups", &["Dev"]),
                grouped(&["dev", "x"]),
                true,
            ),
            (change(Add, "groups", &["dev"]), grouped(&["x"]), false),
            (
                change(Add, "groups", &["dev"]),
                answer("ada", None, None),
                true,
            ),
            (change(Remove, "groups", &["x"]), grouped(&["x"]), false),
            (
                change(Replace, "groups", &["a"]),
                grouped(&["a", "x"]),
                false,
            ),
            (change(Replace, "groups", &["a"]), grouped(&["a"]), true),
            (change(Replace, "mail", &["a"]), grouped(&["x"]), true),
        ]
    }

    #[test]
    fn an_answer_that_differs_from_what_was_asked_is_not_done() {
        for (request, answer, right) in answers() {
            let asked = Asked::of(&request, Roles::new(ROLES));
            assert_eq!(
                asked.check(&answer).is_ok(),
                right,
                "{request:?} {answer:?}"
            );
        }
    }
}
