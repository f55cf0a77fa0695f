//! What has to change of an entry, held against what is there.

use super::dn;
use super::members::kept;
use super::message::{Change, ChangeKind, Entry};
use super::schema::Equality;
use super::settings::{ClassSettings, MemberSettings};
use crate::model::Operation as Kind;

/// How the changes of an entry are worked out: each way is tried where the one before it was
/// refused for a reason that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As they are asked for.
    AsAsked,
    /// Against what is there.
    Difference,
    /// Against what is there, as a directory compares most texts.
    Folded,
    /// By putting all values in the place of those that are there: for attributes whose values the
    /// directory cannot compare, such as photographs.
    Whole,
}

/// One attribute that changes: as it was and as it is to be.
pub(super) struct Altered {
    pub(super) name: String,
    pub(super) equality: Equality,
    pub(super) asked: Vec<(Kind, Vec<Vec<u8>>)>,
}

pub(super) fn change(kind: ChangeKind, attribute: &str, values: Vec<Vec<u8>>) -> Change {
    Change {
        kind,
        attribute: attribute.to_owned(),
        values,
    }
}

/// How values of one attribute are held against one another.
pub(super) struct Comparing<'a> {
    pub(super) way: Way,
    pub(super) members: Option<&'a MemberSettings>,
    pub(super) equality: Equality,
    pub(super) accounts: &'a ClassSettings,
}

impl Comparing<'_> {
    /// A value such that equal ones are equal.
    fn key(&self, value: &[u8]) -> Vec<u8> {
        match (self.members, self.way) {
            (Some(members), _) => match std::str::from_utf8(value) {
                Ok(text) => kept(members, text),
                Err(_) => value.to_vec(),
            },
            (None, Way::Folded) if self.equality == Equality::Exact => dn::prepared(value),
            (None, _) => self.equality.key(value),
        }
    }

    /// Whether a value that is there is the one that is to leave: a member may be named as it is
    /// shown.
    fn is_meant(&self, present: &[u8], leaving: &[u8]) -> bool {
        if self.key(present) == self.key(leaving) {
            return true;
        }
        let Some(members) = self.members.filter(|members| !members.by_name) else {
            return false;
        };
        let named = || {
            let dn = std::str::from_utf8(present).ok()?;
            let name = dn::first_value(dn, &self.accounts.naming)?;
            Some(dn::prepared(name.as_bytes()) == dn::prepared(leaving))
        };
        members.placeholder.as_deref().map(str::as_bytes) != Some(present) && named() == Some(true)
    }

    pub(super) fn changes(&self, one: &Altered, entry: &Entry) -> Vec<Change> {
        let name = &one.name;
        if self.way == Way::AsAsked {
            let changes = one.asked.iter().map(|(kind, values)| {
                let kind = match kind {
                    Kind::Add => ChangeKind::Add,
                    Kind::Remove => ChangeKind::Delete,
                    Kind::Replace => ChangeKind::Replace,
                };
                change(kind, name, values.clone())
            });
            return changes.collect();
        }
        let before: Vec<Vec<u8>> = entry
            .values(name)
            .iter()
            .map(|value| value.to_vec())
            .collect();
        let mut after = before.clone();
        for (kind, values) in &one.asked {
            match kind {
                Kind::Replace => after = Vec::new(),
                Kind::Remove => {
                    self.take_away(&mut after, values, &one.asked);
                    continue;
                }
                Kind::Add => {}
            }
            let mut there: std::collections::HashSet<_> =
                after.iter().map(|value| self.key(value)).collect();
            for value in values {
                if there.insert(self.key(value)) {
                    after.push(value.clone());
                }
            }
        }
        self.place(&mut after);
        let replaces = one.asked.iter().any(|(kind, _)| *kind == Kind::Replace);
        self.difference(name, &before, after, replaces)
    }

    /// What is taken away and given in another spelling has that one from then on: to the
    /// directory both are one value.
    fn take_away(
        &self,
        after: &mut Vec<Vec<u8>>,
        gone: &[Vec<u8>],
        asked: &[(Kind, Vec<Vec<u8>>)],
    ) {
        let given = asked.iter().filter(|(kind, _)| *kind != Kind::Remove);
        let given: Vec<_> = given.flat_map(|(_, values)| values).collect();
        let respelled = |present: &Vec<u8>| {
            let mut given = given.iter();
            let alike = |value: &&&Vec<u8>| self.key(value) == self.key(present);
            given.find(alike).filter(|value| !gone.contains(**value))
        };
        let is_gone = |present: &Vec<u8>| gone.iter().any(|gone| self.is_meant(present, gone));
        let (leaving, staying): (Vec<_>, Vec<_>) = after.drain(..).partition(is_gone);
        *after = staying;
        if self.members.is_none() {
            after.extend(
                leaving
                    .iter()
                    .filter_map(respelled)
                    .map(|value| value.to_vec()),
            );
        }
    }

    /// A group that may not be empty has its placeholder, and no other has it.
    fn place(&self, after: &mut Vec<Vec<u8>>) {
        let Some(placeholder) = self
            .members
            .and_then(|members| members.placeholder.as_ref())
        else {
            return;
        };
        let own = self.key(placeholder.as_bytes());
        after.retain(|value| self.key(value) != own);
        if after.is_empty() {
            after.push(placeholder.clone().into_bytes());
        }
    }

    fn difference(
        &self,
        name: &str,
        before: &[Vec<u8>],
        after: Vec<Vec<u8>>,
        replaces: bool,
    ) -> Vec<Change> {
        let keys = |values: &[Vec<u8>]| -> std::collections::HashSet<_> {
            values.iter().map(|value| self.key(value)).collect()
        };
        let (old, new) = (keys(before), keys(&after));
        let respelled = |value: &Vec<u8>| !before.contains(value) && old.contains(&self.key(value));
        let respells = self.members.is_none() && after.iter().any(respelled);
        if replaces || respells || self.way == Way::Whole {
            // What differs in its spelling alone is written as it was asked for.
            return if before == after {
                Vec::new()
            } else {
                vec![change(ChangeKind::Replace, name, after)]
            };
        }
        let gone = before
            .iter()
            .filter(|value| !new.contains(&self.key(value)));
        let gone: Vec<_> = gone.cloned().collect();
        let come: Vec<_> = after
            .into_iter()
            .filter(|value| !old.contains(&self.key(value)))
            .collect();
        // First what comes: a group is never without a member in between.
        let parts = [(ChangeKind::Add, come), (ChangeKind::Delete, gone)];
        let parts = parts.into_iter().filter(|(_, values)| !values.is_empty());
        parts
            .map(|(kind, values)| change(kind, name, values))
            .collect()
    }
}
