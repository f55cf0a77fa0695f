//! Groups that name what was removed or renamed. Whoever gets the old name later is not to be in
//! them, and who has a new one stays in them. Many directories leave both to their clients.

use super::connector::Directory;
use super::dn;
use super::members::Member;
use super::message::{Change, ChangeKind, Entry};
use super::session::Session;
use super::settings::{ClassSettings, MemberSettings};
use crate::model::{CallError, ObjectClass, Verb};

/// How often the groups are looked for. A directory that keeps them right by itself may be at it at
/// the same time, so that a change is refused which is done already.
const TRIES: usize = 3;

/// What groups could not be changed.
struct Left(Option<Vec<String>>);

impl Directory {
    /// What groups know an object by.
    pub(super) fn as_member(&self, class: &ClassSettings, entry: &Entry) -> Member {
        Member {
            dn: entry.dn.clone(),
            name: self.name(class, entry).unwrap_or_default(),
        }
    }

    /// Whether groups have objects of a class as members.
    pub(super) fn may_be_member(&self, class: ObjectClass) -> bool {
        let groups = self.settings.groups.as_ref();
        groups.is_some_and(|(_, members)| match class {
            ObjectClass::Account => true,
            ObjectClass::Group => !members.by_name,
            ObjectClass::Other(_) => false,
        })
    }

    /// Takes what was removed out of its groups. What is left is told.
    pub(super) async fn leave_groups(
        &self,
        session: &Session<'_>,
        member: &Member,
    ) -> Option<String> {
        let left = self.exchange(session, member, None).await.err()?;
        Some(left.told(|groups| format!("still a member of {groups}")))
    }

    /// Has its groups name by its new name what was renamed. What is left is told.
    pub(super) async fn stay_in_groups(
        &self,
        session: &Session<'_>,
        old: &Member,
        new: &Member,
    ) -> Option<String> {
        if self.are_alike(old, new) {
            return None;
        }
        let left = self.exchange(session, old, Some(new)).await.err()?;
        Some(left.told(|groups| format!("its old name is still that of a member of {groups}")))
    }

    /// Whether groups cannot tell one from the other.
    pub(super) fn are_alike(&self, old: &Member, new: &Member) -> bool {
        let groups = self.settings.groups.as_ref();
        groups.is_none_or(|(_, members)| {
            if members.by_name {
                old.name == new.name
            } else {
                dn::same(&old.dn, &new.dn)
            }
        })
    }

    /// The groups that still have as a member what is not there any more under this name.
    pub(super) async fn still_in_groups(
        &self,
        session: &Session<'_>,
        member: &Member,
    ) -> Result<Option<String>, CallError> {
        let groups = self.groups_of(session, member).await;
        let groups = groups.map_err(|error| self.read_error(&error))?;
        Ok((!groups.is_empty()).then(|| listed(&groups)))
    }

    async fn exchange(
        &self,
        session: &Session<'_>,
        old: &Member,
        new: Option<&Member>,
    ) -> Result<(), Left> {
        let Some((_, settings)) = &self.settings.groups else {
            return Ok(());
        };
        let mut left = Vec::new();
        for _ in 0..TRIES {
            let groups = self.groups_with(session, std::slice::from_ref(old)).await;
            let groups = groups.map_err(|_| Left(None))?;
            left.clear();
            for group in groups {
                let changes = exchanged(settings, old, new, group.members.len());
                let changed = self.modify(session, Verb::Update, &group.dn, changes);
                if changed.await.is_err() {
                    left.push(group.name);
                }
            }
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(Left(Some(left)))
    }
}

impl Left {
    fn told(self, in_groups: impl FnOnce(String) -> String) -> String {
        match self.0 {
            Some(groups) => in_groups(listed(&groups)),
            None => "whether a group still has it as a member could not be found out".to_owned(),
        }
    }
}

fn listed(groups: &[String]) -> String {
    let groups: Vec<_> = groups.iter().map(|group| format!("`{group}`")).collect();
    groups.join(", ")
}

/// First what comes: a group is never without a member in between.
fn exchanged(
    settings: &MemberSettings,
    old: &Member,
    new: Option<&Member>,
    members: usize,
) -> Vec<Change> {
    let value = |member: &Member| {
        let value = if settings.by_name {
            &member.name
        } else {
            &member.dn
        };
        value.clone().into_bytes()
    };
    let placeholder = settings.placeholder.as_ref().filter(|_| members == 1);
    let comes = match new {
        Some(new) => Some(value(new)),
        None => placeholder.map(|placeholder| placeholder.clone().into_bytes()),
    };
    let change = |kind, value| Change {
        kind,
        attribute: settings.attribute.clone(),
        values: vec![value],
    };
    let comes = comes.map(|value| change(ChangeKind::Add, value));
    let goes = change(ChangeKind::Delete, value(old));
    comes.into_iter().chain([goes]).collect()
}
