//! What a request would do to memberships, names and ids, read off it before it is carried out.

use std::collections::BTreeSet;

use crate::model::{Attribute, Modification, Object, ObjectClass, Operation, Request, Value};

/// Attributes of an account that name groups.
const GROUP_ATTRIBUTES: [&str; 2] = ["groups", "primary_group"];
/// The attribute of a group that names accounts.
const MEMBERS: &str = "members";
/// Attributes that set a numeric id.
const ID_ATTRIBUTES: [&str; 2] = ["uid", "gid"];

/// What the guard rails have to judge in a create or an update.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Groups that somebody would join or leave.
    pub(crate) groups: BTreeSet<String>,
    /// Accounts that would join or leave a group.
    pub(crate) accounts: BTreeSet<String>,
    /// Ids that the object would get.
    pub(crate) ids: BTreeSet<u64>,
    /// Set where values now unknown would be taken away.
    pub(crate) replaces_unknown: bool,
}

impl Effects {
    /// Of a request on an object that now is `current`; `None` where it is new, or could not be read.
    pub(crate) fn of(request: &Request, current: Option<&Object>) -> Self {
        let mut effects = Self::default();
        match request {
            Request::Create(create) => {
                for attribute in &create.attributes {
                    effects.gains(create.class, attribute);
                }
                if create.class == ObjectClass::Group && !effects.accounts.is_empty() {
                    effects.groups.insert(create.name.to_string());
                }
            }
            Request::Update(update) => {
                let class = update.object.class;
                for modification in &update.modifications {
                    effects.changes(class, modification, current);
                }
                if let Some(current) = current.filter(|_| !effects.accounts.is_empty()) {
                    effects.groups.insert(current.identity.name.to_string());
                }
            }
            _ => {}
        }
        effects
    }

    fn gains(&mut self, class: ObjectClass, attribute: &Attribute) {
        let name = attribute.name.as_str();
        if let Some(named) = self.named_by(class, name) {
            named.extend(texts(&attribute.values));
        }
        self.takes_ids(name, &attribute.values);
    }

    fn changes(
        &mut self,
        class: ObjectClass,
        modification: &Modification,
        current: Option<&Object>,
    ) {
        let name = modification.name.as_str();
        self.takes_ids(name, &modification.values);
        let Some(named) = self.named_by(class, name) else {
            return;
        };
        let given: BTreeSet<String> = texts(&modification.values).collect();
        match (modification.operation, current) {
            (Operation::Add | Operation::Remove, _) => named.extend(given),
            (Operation::Replace, Some(current)) => {
                let present: BTreeSet<String> = texts(current.values(name)).collect();
                named.extend(given.symmetric_difference(&present).cloned());
            }
            (Operation::Replace, None) => {
                named.extend(given);
                self.replaces_unknown = true;
            }
        }
    }

    fn named_by(&mut self, class: ObjectClass, attribute: &str) -> Option<&mut BTreeSet<String>> {
        match class {
            ObjectClass::Account if is_one_of(attribute, &GROUP_ATTRIBUTES) => {
                Some(&mut self.groups)
            }
            ObjectClass::Group if is_one_of(attribute, &[MEMBERS]) => Some(&mut self.accounts),
            _ => None,
        }
    }

    fn takes_ids(&mut self, attribute: &str, values: &[Value]) {
        if is_one_of(attribute, &ID_ATTRIBUTES) {
            self.ids
                .extend(values.iter().filter_map(|value| match value {
                    Value::Integer(number) => u64::try_from(*number).ok(),
                    Value::Text(text) => text.parse().ok(),
                    _ => None,
                }));
        }
    }
}

/// Names of the groups that an account is in, its primary group among them.
pub(super) fn groups_of(account: &Object) -> impl Iterator<Item = &str> {
    let naming = account.attributes.iter();
    naming
        .filter(|attribute| is_one_of(attribute.name.as_str(), &GROUP_ATTRIBUTES))
        .flat_map(|attribute| attribute.values.iter().filter_map(Value::as_text))
}

fn texts(values: &[Value]) -> impl Iterator<Item = String> + '_ {
    values
        .iter()
        .filter_map(|value| value.as_text().map(str::to_owned))
}

/// Without regard to case: a resource behind a script may not have any either.
fn is_one_of(attribute: &str, names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| name.eq_ignore_ascii_case(attribute))
}
