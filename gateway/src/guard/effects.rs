//! What a request would do to memberships, names and ids, read off it before it is carried out.

use std::collections::BTreeSet;

use crate::model::{
    Attribute, Modification, Object, ObjectClass, Operation, Request, Role, Roles, Value,
};

/// What the guard rails have to judge in a create or an update.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Groups that somebody would join or leave.
    pub(crate) groups: BTreeSet<String>,
    /// Accounts that would join or leave a group.
    pub(crate) accounts: BTreeSet<String>,
    /// Ids that the object would get.
    pub(crate) ids: BTreeSet<u64>,
    /// Set where it would get one that not everybody reads as the same number.
    pub(crate) takes_unclear_id: bool,
    /// Set where values now unknown would be taken away.
    pub(crate) replaces_unknown: bool,
}

impl Effects {
    /// Of a request on an object that now is `current`; `None` where it is new, or could not be
    /// read.
    pub(crate) fn of(request: &Request, current: Option<&Object>, roles: Roles<'_>) -> Self {
        let mut effects = Self::default();
        match request {
            Request::Create(create) => {
                for attribute in &create.attributes {
                    effects.gains(roles, create.class, attribute);
                }
                if create.class == ObjectClass::Group && effects.changes_members() {
                    effects.groups.insert(create.name.to_string());
                }
            }
            Request::Update(update) => {
                let class = update.object.class;
                for modification in &update.modifications {
                    effects.changes(roles, class, modification, current);
                }
                let group = current.filter(|_| class == ObjectClass::Group);
                if let Some(group) = group.filter(|_| effects.changes_members()) {
                    effects.groups.insert(group.identity.name.to_string());
                }
            }
            _ => {}
        }
        effects
    }

    /// Whether a group would get or lose a member, be it an account or another group.
    fn changes_members(&self) -> bool {
        !self.accounts.is_empty() || !self.groups.is_empty()
    }

    fn gains(&mut self, roles: Roles<'_>, class: ObjectClass, attribute: &Attribute) {
        let name = attribute.name.as_str();
        for named in self.named_by(roles, class, name) {
            named.extend(texts(&attribute.values));
        }
        self.takes_ids(roles, class, name, &attribute.values);
    }

    fn changes(
        &mut self,
        roles: Roles<'_>,
        class: ObjectClass,
        modification: &Modification,
        current: Option<&Object>,
    ) {
        let name = modification.name.as_str();
        self.takes_ids(roles, class, name, &modification.values);
        let given: BTreeSet<String> = texts(&modification.values).collect();
        let replaces = modification.operation == Operation::Replace;
        let changed = match current {
            Some(current) if replaces => {
                let present = present(current, name);
                given.symmetric_difference(&present).cloned().collect()
            }
            _ => given,
        };
        let mut names_any = false;
        for named in self.named_by(roles, class, name) {
            named.extend(changed.iter().cloned());
            names_any = true;
        }
        self.replaces_unknown |= names_any && replaces && current.is_none();
    }

    /// Where the objects go that the values of an attribute name.
    fn named_by(
        &mut self,
        roles: Roles<'_>,
        class: ObjectClass,
        attribute: &str,
    ) -> impl Iterator<Item = &mut BTreeSet<String>> {
        let named = [
            (Role::NamesGroups, &mut self.groups),
            (Role::NamesAccounts, &mut self.accounts),
        ];
        named
            .into_iter()
            .filter(move |(role, _)| roles.has(class, attribute, *role))
            .map(|(_, named)| named)
    }

    fn takes_ids(
        &mut self,
        roles: Roles<'_>,
        class: ObjectClass,
        attribute: &str,
        values: &[Value],
    ) {
        if roles.has(class, attribute, Role::NumericId) {
            for value in values {
                match number(value) {
                    Some(number) => drop(self.ids.insert(number)),
                    None => self.takes_unclear_id = true,
                }
            }
        }
    }
}

/// The number that a value is for whoever reads it: not so a text with a sign, with spaces or with
/// zeros before it, a fraction, or what a system with ids of 32 bits may cut.
fn number(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Integer(number) => u32::try_from(*number).ok()?,
        Value::Text(text) => text
            .parse()
            .ok()
            .filter(|number: &u32| number.to_string() == *text)?,
        _ => return None,
    };
    Some(number.into())
}

/// Names of the groups that an object is in.
pub(super) fn groups_of<'a>(object: &'a Object, roles: Roles<'a>) -> impl Iterator<Item = &'a str> {
    let class = object.identity.class;
    let naming = object.attributes.iter();
    naming
        .filter(move |attribute| roles.has(class, attribute.name.as_str(), Role::NamesGroups))
        .flat_map(|attribute| attribute.values.iter().filter_map(Value::as_text))
}

/// The texts that an attribute now holds. The case of its name does not matter, as with its roles.
fn present(object: &Object, name: &str) -> BTreeSet<String> {
    let attributes = object.attributes.iter();
    attributes
        .filter(|attribute| attribute.name.as_str().eq_ignore_ascii_case(name))
        .flat_map(|attribute| texts(&attribute.values))
        .collect()
}

fn texts(values: &[Value]) -> impl Iterator<Item = String> + '_ {
    values
        .iter()
        .filter_map(|value| value.as_text().map(str::to_owned))
}
