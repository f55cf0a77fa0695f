//! The attributes of accounts and groups: what there is, what may be given, and what modifications
//! make of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use portcullis_host::nearest::nearest_first;

use crate::model::{
    Attribute, AttributeName, AttributeRole, AttributeSchema, Failure, Modification, Object,
    ObjectClass, Operation, Role, Value, ValueKey, ValueType,
};

/// Values that a list may have after a change: as many groups as a process can be in on Linux
/// (`NGROUPS_MAX`), and as many members.
const MAX_LIST: usize = 65_536;

/// One attribute.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    kind: ValueType,
    multi_valued: bool,
    creatable: bool,
    updatable: bool,
    description: &'static str,
}

const fn spec(
    name: &'static str,
    kind: ValueType,
    (creatable, updatable): (bool, bool),
    description: &'static str,
) -> Spec {
    Spec {
        name,
        kind,
        multi_valued: false,
        creatable,
        updatable,
        description,
    }
}

const fn list(name: &'static str, description: &'static str) -> Spec {
    Spec {
        name,
        kind: ValueType::Text,
        multi_valued: true,
        creatable: true,
        updatable: true,
        description,
    }
}

const fn seen_list(name: &'static str, description: &'static str) -> Spec {
    Spec {
        creatable: false,
        updatable: false,
        ..list(name, description)
    }
}

const READ_ONLY: (bool, bool) = (false, false);
const AT_CREATION: (bool, bool) = (true, false);
const ALWAYS: (bool, bool) = (true, true);

const ACCOUNT: &[Spec] = &[
    spec(
        "uid",
        ValueType::Integer,
        AT_CREATION,
        "the numeric id; by default the next free one",
    ),
    spec(
        "gid",
        ValueType::Integer,
        READ_ONLY,
        "the numeric id of the primary group",
    ),
    spec(
        "primary_group",
        ValueType::Text,
        ALWAYS,
        "the name of the primary group; by default a new one of the account's name",
    ),
    list(
        "groups",
        "the names of the other groups that the account is in",
    ),
    seen_list(
        "gshadow_groups",
        "the names of groups that list the account in gshadow alone, as a member or administrator",
    ),
    spec(
        "home",
        ValueType::Text,
        ALWAYS,
        "the home directory; an update moves no files",
    ),
    spec("shell", ValueType::Text, ALWAYS, "the login shell"),
    spec(
        "full_name",
        ValueType::Text,
        ALWAYS,
        "the person's name: the first part of the comment field",
    ),
    spec("gecos", ValueType::Text, ALWAYS, "the whole comment field"),
    spec(
        "expires",
        ValueType::Time,
        ALWAYS,
        "the day from which on the account cannot log in; absent: never",
    ),
    spec(
        "locked",
        ValueType::Boolean,
        READ_ONLY,
        "whether there is a password but it is locked",
    ),
    spec(
        "has_password",
        ValueType::Boolean,
        READ_ONLY,
        "whether there is a password, locked or not",
    ),
    spec(
        "last_change",
        ValueType::Time,
        READ_ONLY,
        "the day of the password's last change; the first of 1970: it has to be changed",
    ),
    spec(
        "password_min_days",
        ValueType::Integer,
        READ_ONLY,
        "days before the user may change the password again",
    ),
    spec(
        "password_max_days",
        ValueType::Integer,
        READ_ONLY,
        "days after which the password has to be changed",
    ),
    spec(
        "password_warn_days",
        ValueType::Integer,
        READ_ONLY,
        "days before that, on which the user is warned",
    ),
    spec(
        "password_inactive_days",
        ValueType::Integer,
        READ_ONLY,
        "days after that, on which it can still be changed at a login",
    ),
    spec(
        "password_expired",
        ValueType::Boolean,
        READ_ONLY,
        "whether the password has to be changed at the next login",
    ),
    spec(
        "password_inactive",
        ValueType::Boolean,
        READ_ONLY,
        "whether the password ran out so long ago that nobody gets in with it any more",
    ),
];

const GROUP: &[Spec] = &[
    spec(
        "gid",
        ValueType::Integer,
        AT_CREATION,
        "the numeric id; by default the next free one",
    ),
    list(
        "members",
        "the names of the accounts in the group, without those whose primary group it is",
    ),
    seen_list(
        "gshadow_members",
        "the names of members that stand in gshadow alone, whom newgrp lets in all the same",
    ),
    seen_list(
        "administrators",
        "the names of the accounts that may change the members, by gshadow",
    ),
];

/// What the guard rails have to know of them.
pub(super) const ROLES: &[AttributeRole] = &[
    AttributeRole::new(ObjectClass::Account, "groups", Role::NamesGroups),
    AttributeRole::new(ObjectClass::Account, "gshadow_groups", Role::NamesGroups),
    AttributeRole::new(ObjectClass::Account, "primary_group", Role::NamesGroups),
    AttributeRole::new(ObjectClass::Account, "uid", Role::NumericId),
    AttributeRole::new(ObjectClass::Account, "gid", Role::GroupNumber),
    AttributeRole::new(ObjectClass::Account, "gid", Role::Computed),
    AttributeRole::new(ObjectClass::Account, "locked", Role::Computed),
    AttributeRole::new(ObjectClass::Account, "has_password", Role::Computed),
    AttributeRole::new(ObjectClass::Account, "last_change", Role::Computed),
    AttributeRole::new(ObjectClass::Account, "gshadow_groups", Role::Computed),
    AttributeRole::new(ObjectClass::Account, "password_min_days", Role::Computed),
    AttributeRole::new(ObjectClass::Account, "password_max_days", Role::Computed),
    AttributeRole::new(ObjectClass::Account, "password_warn_days", Role::Computed),
    AttributeRole::new(
        ObjectClass::Account,
        "password_inactive_days",
        Role::Computed,
    ),
    AttributeRole::new(ObjectClass::Account, "password_expired", Role::Computed),
    AttributeRole::new(ObjectClass::Account, "password_inactive", Role::Computed),
    AttributeRole::new(ObjectClass::Group, "gshadow_members", Role::NamesAccounts),
    AttributeRole::new(ObjectClass::Group, "gshadow_members", Role::Computed),
    AttributeRole::new(ObjectClass::Group, "administrators", Role::NamesAccounts),
    AttributeRole::new(ObjectClass::Group, "administrators", Role::Computed),
    AttributeRole::new(ObjectClass::Group, "members", Role::NamesAccounts),
    AttributeRole::new(ObjectClass::Group, "gid", Role::NumericId),
];

/// The attributes of a class.
pub(super) const fn of(class: ObjectClass) -> &'static [Spec] {
    match class {
        ObjectClass::Account => ACCOUNT,
        ObjectClass::Group => GROUP,
        ObjectClass::Other(_) => &[],
    }
}

impl From<&Spec> for AttributeSchema {
    fn from(spec: &Spec) -> Self {
        Self {
            multi_valued: spec.multi_valued,
            creatable: spec.creatable,
            updatable: spec.updatable,
            description: spec.description.to_owned(),
            ..Self::new(spec.name, spec.kind)
        }
    }
}

/// New values by attribute.
pub(super) type Values = BTreeMap<&'static str, Vec<Value>>;

/// Refuses names that the class does not have.
pub(super) fn check_names<'a>(
    class: ObjectClass,
    names: impl IntoIterator<Item = &'a AttributeName>,
) -> Result<(), Failure> {
    names
        .into_iter()
        .try_for_each(|name| find(class, name).map(drop))
}

/// The values that a create gives.
pub(super) fn for_create(class: ObjectClass, given: Vec<Attribute>) -> Result<Values, Failure> {
    let mut values = Values::new();
    for Attribute { name, values: new } in given {
        let spec = find(class, &name)?;
        if !spec.creatable {
            return Err(Failure::unsupported(format!(
                "attribute `{name}` of {class}s can be read only"
            )));
        }
        check_values(spec, &new)?;
        if !new.is_empty() {
            values.insert(spec.name, new);
        }
    }
    Ok(values)
}

/// The values that an update leaves, of the attributes that it changes. Each modification costs
/// what it names, whatever it is made on.
pub(super) fn for_update(
    current: &Object,
    modifications: &[Modification],
) -> Result<Values, Failure> {
    let class = current.identity.class;
    let mut slots = BTreeMap::new();
    for modification in modifications {
        let spec = find(class, &modification.name)?;
        if !spec.updatable {
            return Err(Failure::unsupported(format!(
                "attribute `{}` of {class}s cannot be changed",
                spec.name
            )));
        }
        let (_, slot) = slots
            .entry(spec.name)
            .or_insert_with(|| (spec, Slot::new(current.values(spec.name))));
        match modification.operation {
            Operation::Replace => check_values(spec, &modification.values)?,
            Operation::Add => check_types(spec, &modification.values)?,
            Operation::Remove => {}
        }
        slot.change(modification);
        check_count(spec, slot.values.len())?;
    }
    let mut values = Values::new();
    for (name, (spec, slot)) in slots {
        let present = current.values(name);
        if let Some(left) = slot.changed(present) {
            check_bound(spec, left.len(), present.len())?;
            values.insert(name, left);
        }
    }
    Ok(values)
}

/// The values of one attribute while modifications are made to them.
struct Slot<'a> {
    /// Each with its place in the order in which they came.
    values: HashMap<ValueKey<'a>, (usize, &'a Value)>,
    next: usize,
}

impl<'a> Slot<'a> {
    fn new(present: &'a [Value]) -> Self {
        let mut slot = Self {
            values: HashMap::with_capacity(present.len()),
            next: 0,
        };
        slot.add(present);
        slot
    }

    fn change(&mut self, modification: &'a Modification) {
        match modification.operation {
            Operation::Replace => {
                // What a map keeps room for is gone through whenever it is cleared.
                self.values = HashMap::with_capacity(modification.values.len());
                self.add(&modification.values);
            }
            Operation::Remove => {
                for value in &modification.values {
                    self.values.remove(&value.key());
                }
            }
            Operation::Add => self.add(&modification.values),
        }
    }

    fn add(&mut self, values: &'a [Value]) {
        for value in values {
            self.values.entry(value.key()).or_insert((self.next, value));
            self.next += 1;
        }
    }

    /// The values in their order, where they are not those that are `present`.
    fn changed(self, present: &[Value]) -> Option<Vec<Value>> {
        let same = self.values.len() == present.len()
            && present
                .iter()
                .all(|value| self.values.contains_key(&value.key()));
        if same {
            return None;
        }
        let mut left: Vec<_> = self.values.into_values().collect();
        left.sort_unstable_by_key(|(place, _)| *place);
        Some(left.into_iter().map(|(_, value)| value.clone()).collect())
    }
}

/// The only value, as text.
pub(super) fn text<'a>(values: &'a Values, name: &str) -> Option<&'a str> {
    values.get(name)?.first()?.as_text()
}

/// All values, as texts.
pub(super) fn texts<'a>(values: &'a Values, name: &str) -> Option<Vec<&'a str>> {
    Some(
        values
            .get(name)?
            .iter()
            .filter_map(Value::as_text)
            .collect(),
    )
}

fn find(class: ObjectClass, name: &AttributeName) -> Result<&'static Spec, Failure> {
    of(class)
        .iter()
        .find(|spec| spec.name == name.as_str())
        .ok_or_else(|| {
            let known = of(class).iter().map(|spec| spec.name);
            Failure::unsupported(format!(
                "{class}s have no attribute `{name}`; they have {}",
                nearest_first(name.as_str(), known)
            ))
        })
}

fn check_values(spec: &Spec, values: &[Value]) -> Result<(), Failure> {
    check_count(spec, values.len())?;
    check_bound(spec, values.len(), 0)?;
    check_types(spec, values)?;
    let mut seen = HashSet::with_capacity(values.len());
    if !values.iter().all(|value| seen.insert(value.key())) {
        return Err(Failure::invalid(format!(
            "attribute `{}` has the same value twice",
            spec.name
        )));
    }
    Ok(())
}

fn check_types(spec: &Spec, values: &[Value]) -> Result<(), Failure> {
    match values.iter().find(|value| value.value_type() != spec.kind) {
        Some(value) => Err(Failure::invalid(format!(
            "attribute `{}` is of type {}, not {}",
            spec.name,
            spec.kind.name(),
            value.value_type().name()
        ))),
        None => Ok(()),
    }
}

fn check_count(spec: &Spec, count: usize) -> Result<(), Failure> {
    if count > 1 && !spec.multi_valued {
        return Err(Failure::invalid(format!(
            "attribute `{}` has one value only; use `replace` to change it",
            spec.name
        )));
    }
    Ok(())
}

/// A list that is longer already may only shrink.
fn check_bound(spec: &Spec, count: usize, present: usize) -> Result<(), Failure> {
    if count > MAX_LIST.max(present) {
        return Err(Failure::invalid(format!(
            "attribute `{}` would have {count} values, which is more than the {MAX_LIST} that a list may have",
            spec.name
        )));
    }
    Ok(())
}
