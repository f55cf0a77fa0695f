//! What a request would do to memberships, names and ids, read off it before it is carried out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{
    Attribute, Modification, Object, ObjectClass, ObjectRef, Operation, Request, Role, Roles,
    Selector, Value,
};

/// What the guard rails have to judge in a change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Groups that somebody would join or leave.
    pub(crate) groups: BTreeSet<String>,
    /// The same, where they are named by their numbers.
    pub(crate) group_numbers: BTreeSet<u64>,
    /// Accounts that would join or leave a group.
    pub(crate) accounts: BTreeSet<String>,
    /// Ids that an account would get.
    pub(crate) account_ids: BTreeSet<u64>,
    /// Ids that a group, or somebody as that of a group, would get.
    pub(crate) group_ids: BTreeSet<u64>,
    /// Further names that an account would log in by.
    pub(crate) log_ins: BTreeSet<String>,
    /// The name that an object of this class would get.
    pub(crate) new_name: Option<(ObjectClass, String)>,
    /// Set where everybody would leave the group that the request is about.
    pub(crate) empties: bool,
    /// Set where an object would get an id that not everybody reads as the same number.
    pub(crate) takes_unclear_id: bool,
    /// Set where an account would get a further name to log in by that is no text.
    pub(crate) takes_unclear_name: bool,
    /// Set where memberships now unknown would be given or taken away.
    pub(crate) changes_unknown: bool,
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
                let name = create.name.to_string();
                if create.class != ObjectClass::Account && effects.changes_members() {
                    effects.groups.insert(name.clone());
                }
                effects.new_name = Some((create.class, name));
            }
            Request::Update(update) => {
                let class = update.object.class;
                for (name, changes) in by_attribute(&update.modifications) {
                    effects.changes(roles, class, &name, &changes, current);
                }
                effects.changes_group(&update.object, current);
            }
            Request::Delete(object) => effects.empty(roles, object, current),
            Request::Rename(object, new_name) => {
                effects.empty(roles, object, current);
                if effects.changes_members() {
                    effects.groups.insert(new_name.to_string());
                }
                effects.new_name = Some((object.class, new_name.to_string()));
            }
            _ => {}
        }
        effects
    }

    /// Whether a group would get or lose a member, be it an account or another group.
    fn changes_members(&self) -> bool {
        !self.accounts.is_empty() || !self.groups.is_empty()
    }

    /// A group whose members change is a group whose membership changes.
    fn changes_group(&mut self, object: &ObjectRef, current: Option<&Object>) {
        if object.class == ObjectClass::Account || !self.changes_members() {
            return;
        }
        match (current, &object.by) {
            (Some(group), _) => drop(self.groups.insert(group.identity.name.to_string())),
            (None, Selector::Name(name)) => drop(self.groups.insert(name.to_string())),
            (None, Selector::Id(_)) => self.changes_unknown = true,
        }
    }

    /// A group that goes, or is called otherwise from now on: nobody is in the one of its name any
    /// more.
    fn empty(&mut self, roles: Roles<'_>, object: &ObjectRef, current: Option<&Object>) {
        if object.class == ObjectClass::Account {
            return;
        }
        self.empties = true;
        for attribute in current.iter().flat_map(|group| &group.attributes) {
            let name = attribute.name.as_str();
            for named in self.named_by(roles, object.class, name) {
                named.extend(texts(&attribute.values));
            }
        }
        self.changes_group(object, current);
    }

    fn gains(&mut self, roles: Roles<'_>, class: ObjectClass, attribute: &Attribute) {
        let name = attribute.name.as_str();
        for named in self.named_by(roles, class, name) {
            named.extend(texts(&attribute.values));
        }
        self.takes_ids(roles, class, name, &attribute.values);
        self.takes_log_ins(roles, class, name, &attribute.values);
    }

    fn changes(
        &mut self,
        roles: Roles<'_>,
        class: ObjectClass,
        name: &str,
        changes: &[&Modification],
        current: Option<&Object>,
    ) {
        for change in changes {
            self.takes_ids(roles, class, name, &change.values);
            if change.operation != Operation::Remove {
                self.takes_log_ins(roles, class, name, &change.values);
            }
        }
        if roles.has(class, name, Role::GroupNumber) {
            let present = current.iter().flat_map(|current| values_of(current, name));
            self.group_numbers.extend(present.filter_map(Value::as_id));
        }
        let replaces = changes
            .iter()
            .any(|change| change.operation == Operation::Replace);
        let mut changed = None;
        for named in self.named_by(roles, class, name) {
            let changed = changed.get_or_insert_with(|| changed_by(changes, current, name));
            named.extend(changed.iter().map(|&text| text.to_owned()));
        }
        self.changes_unknown |= changed.is_some() && replaces && current.is_none();
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

    fn takes_log_ins(
        &mut self,
        roles: Roles<'_>,
        class: ObjectClass,
        attribute: &str,
        values: &[Value],
    ) {
        if !roles.has(class, attribute, Role::LogInName) {
            return;
        }
        self.takes_unclear_name |= values.iter().any(|value| value.as_text().is_none());
        self.log_ins.extend(texts(values));
    }

    fn takes_ids(
        &mut self,
        roles: Roles<'_>,
        class: ObjectClass,
        attribute: &str,
        values: &[Value],
    ) {
        let own = roles.has(class, attribute, Role::NumericId);
        let of_group = roles.has(class, attribute, Role::GroupNumber);
        if !own && !of_group {
            return;
        }
        for value in values {
            let Some(number) = value.as_id() else {
                self.takes_unclear_id = true;
                continue;
            };
            if own && class != ObjectClass::Group {
                self.account_ids.insert(number);
            }
            // A group that gets a number gets with it whoever has it as that of the primary group.
            if of_group || class != ObjectClass::Account {
                self.group_ids.insert(number);
                self.group_numbers.insert(number);
            }
        }
    }
}

/// The modifications of each attribute, in their order. The case of its name does not matter, as
/// with its roles.
fn by_attribute(modifications: &[Modification]) -> BTreeMap<String, Vec<&Modification>> {
    let mut by_attribute: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for modification in modifications {
        let name = modification.name.as_str().to_ascii_lowercase();
        by_attribute.entry(name).or_default().push(modification);
    }
    by_attribute
}

/// The texts that come or go, be it for a moment: whoever carries modifications out may do so one
/// by one. What is there now and stands in every list that takes the place of all stays. It costs
/// what is named and what is there, once.
fn changed_by<'a>(
    changes: &[&'a Modification],
    current: Option<&'a Object>,
    name: &str,
) -> BTreeSet<&'a str> {
    let (replacing, others): (Vec<_>, Vec<_>) = changes
        .iter()
        .partition(|change| change.operation == Operation::Replace);
    let values = |change: &&'a Modification| change.values.iter().filter_map(Value::as_text);
    let mut changed: BTreeSet<_> = others.iter().flat_map(values).collect();
    if replacing.is_empty() {
        return changed;
    }
    let present: BTreeSet<_> = current
        .iter()
        .flat_map(|current| values_of(current, name))
        .filter_map(Value::as_text)
        .collect();
    let mut lists: HashMap<&str, usize> = HashMap::new();
    for change in &replacing {
        let given: BTreeSet<_> = values(change).collect();
        for text in given {
            *lists.entry(text).or_default() += 1;
        }
    }
    let stays = |text: &str| lists.get(text) == Some(&replacing.len()) && present.contains(text);
    let named = lists.keys().copied().chain(present.iter().copied());
    changed.extend(named.filter(|text| !stays(text)));
    changed
}

/// What an attribute now holds. The case of its name does not matter, as with its roles.
fn values_of<'a>(object: &'a Object, name: &str) -> impl Iterator<Item = &'a Value> {
    let attributes = object.attributes.iter();
    attributes
        .filter(move |attribute| attribute.name.as_str().eq_ignore_ascii_case(name))
        .flat_map(|attribute| &attribute.values)
}

fn texts(values: &[Value]) -> impl Iterator<Item = String> + '_ {
    values
        .iter()
        .filter_map(|value| value.as_text().map(str::to_owned))
}
