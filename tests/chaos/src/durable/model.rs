//! What an object may be after each of the calls on it.

use std::collections::BTreeSet;

use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Failure, FailureKind, Object, Outcome, done, value};

use super::resources::{Kind, Resource};
use super::schedule::{Action, MEMBERS};

/// An account that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    pub(super) value: String,
    /// `None`: it has none, or none that is known.
    pub(super) password: Option<String>,
    pub(super) enabled: bool,
}

/// What an object is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    pub(super) accounts: [Option<Account>; 2],
    pub(super) members: [bool; MEMBERS],
}

/// All that an object may be, where nobody knows what came of a call on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct States {
    pub(super) all: BTreeSet<State>,
    /// A create or a rename came to no certain end: what it left may be in the way of the next.
    pub(super) remains: bool,
}

impl Default for States {
    fn default() -> Self {
        Self {
            all: [State::default()].into(),
            remains: false,
        }
    }
}

impl States {
    /// Whether an account of this call is enabled for certain.
    pub(super) fn is_enabled(&self, action: &Action) -> bool {
        let Action::SetPassword(at, _) = action else {
            return true;
        };
        self.all.iter().all(|state| {
            let account = state.accounts.get(*at).and_then(Option::as_ref);
            account.is_some_and(|account| account.enabled)
        })
    }

    /// Whether a new account is refused for what is there of another.
    fn is_in_the_way(&self, resource: &Resource, action: &Action, failure: &Failure) -> bool {
        // One that was renamed on a host keeps the home that it was made with. Calls on it are in
        // no order with those on its former name.
        let is_home =
            resource.kind == Kind::Unix && failure.message.contains("is the home directory of");
        let is_new = matches!(action, Action::Create(..) | Action::Rename(_));
        match failure.kind() {
            FailureKind::Rejected => is_new && (self.remains || is_home),
            FailureKind::AlreadyExists => {
                is_new && self.remains && resource.kind == Kind::ActiveDirectory
            }
            _ => false,
        }
    }

    /// Takes what came of a call; an error: that cannot be.
    pub(super) fn take(
        &mut self,
        resource: &Resource,
        action: &Action,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let before = std::mem::take(&mut self.all);
        let after: BTreeSet<State> = match &outcome.result {
            Some(OutcomeResult::Done(done)) => {
                let object = match &done.detail {
                    Some(done::Detail::Object(object)) => Some(object),
                    _ => None,
                };
                let done = |state: &State| state.done(action);
                let after = before.iter().filter_map(done);
                after
                    .filter(|state| {
                        object.is_none_or(|object| state.shows(resource, action, object))
                    })
                    .collect()
            }
            Some(OutcomeResult::Failed(failure)) => {
                let in_the_way = self.is_in_the_way(resource, action, failure);
                let may = |state: &&State| in_the_way || state.may_fail(action, failure.kind());
                before.iter().filter(may).cloned().collect()
            }
            Some(OutcomeResult::Indeterminate(_)) | None => {
                self.remains |= matches!(action, Action::Create(..) | Action::Rename(_));
                let mut after = before.clone();
                for state in &before {
                    if let Some(done) = state.done(action) {
                        after.extend(done.half(resource, action));
                        after.insert(done);
                    }
                }
                after
            }
        };
        if after.is_empty() {
            let was: Vec<_> = before.iter().map(|state| state.shown(resource)).collect();
            let was = was.join(" or ");
            self.all = before;
            return Err(format!("which cannot be, for before it was {was}"));
        }
        self.all = after;
        Ok(())
    }
}

impl State {
    fn account(&self, at: usize) -> Option<&Account> {
        self.accounts.get(at).and_then(Option::as_ref)
    }

    /// What it is once a call is carried out; `None`: it cannot be carried out.
    fn done(&self, action: &Action) -> Option<Self> {
        let mut after = self.clone();
        match action {
            Action::Create(at, value, password) => {
                let place = after
                    .accounts
                    .get_mut(*at)
                    .filter(|place| place.is_none())?;
                *place = Some(Account {
                    value: value.clone(),
                    password: password.clone(),
                    enabled: true,
                });
            }
            Action::Update(at, value) => after.existing(*at)?.value.clone_from(value),
            Action::SetPassword(at, password) => {
                after.existing(*at)?.password = Some(password.clone());
            }
            Action::Enable(at) => after.existing(*at)?.enabled = true,
            Action::Disable(at) => after.existing(*at)?.enabled = false,
            Action::Rename(at) => {
                let account = after.accounts.get_mut(*at)?.take()?;
                let place = after.accounts.get_mut(1 - *at)?;
                if place.is_some() {
                    return None;
                }
                *place = Some(account);
            }
            Action::Delete(at) => drop(after.accounts.get_mut(*at)?.take()?),
            Action::Join(at) => *after.members.get_mut(*at)? = true,
            Action::Leave(at) => *after.members.get_mut(*at)? = false,
            Action::Get(_) => {}
        }
        Some(after)
    }

    fn existing(&mut self, at: usize) -> Option<&mut Account> {
        self.accounts.get_mut(at)?.as_mut()
    }

    /// What a call leaves that did not come to its last step.
    fn half(&self, resource: &Resource, action: &Action) -> Option<Self> {
        let mut half = self.clone();
        match action {
            Action::Create(at, _, Some(_)) => half.existing(*at)?.password = None,
            // OpenLDAP enables whoever gets a password.
            Action::SetPassword(at, _) if resource.kind == Kind::Ldap => {
                half.existing(*at)?.enabled = true;
            }
            _ => return None,
        }
        Some(half)
    }

    /// Whether a call may fail so where this is the state, which it leaves as it is.
    fn may_fail(&self, action: &Action, kind: FailureKind) -> bool {
        let there = |at: &usize| self.account(*at).is_some();
        match kind {
            FailureKind::Unavailable | FailureKind::Busy | FailureKind::NotBegun => true,
            FailureKind::AlreadyExists => match action {
                Action::Create(at, ..) => there(at),
                Action::Rename(at) => there(&(1 - at)),
                _ => false,
            },
            FailureKind::NotFound => match action {
                Action::Create(..) | Action::Join(_) | Action::Leave(_) => false,
                Action::Update(at, _)
                | Action::SetPassword(at, _)
                | Action::Enable(at)
                | Action::Disable(at)
                | Action::Rename(at)
                | Action::Delete(at)
                | Action::Get(at) => !there(at),
            },
            _ => false,
        }
    }

    /// Whether an answered object is this one.
    fn shows(&self, resource: &Resource, action: &Action, object: &Object) -> bool {
        let values = |name: &str| -> Vec<String> {
            let of_it = object.attributes.iter();
            let of_it = of_it.filter(|attribute| attribute.name.eq_ignore_ascii_case(name));
            of_it
                .flat_map(|attribute| &attribute.values)
                .filter_map(text)
                .collect()
        };
        let at = match action {
            Action::Join(_) | Action::Leave(_) => return true,
            Action::Get(_) if self.is_team(object, resource) => {
                let there = values(resource.members_attribute());
                let there: BTreeSet<_> = there.into_iter().collect();
                return there == self.member_names(resource);
            }
            Action::Rename(at) => 1 - at,
            Action::Create(at, ..)
            | Action::Update(at, _)
            | Action::SetPassword(at, _)
            | Action::Enable(at)
            | Action::Disable(at)
            | Action::Delete(at)
            | Action::Get(at) => *at,
        };
        let Some(account) = self.account(at) else {
            return false;
        };
        // What was found by a look is kept without attributes.
        let is_whole = !object.attributes.is_empty();
        let same_value = || values(resource.attribute()) == [account.value.as_str()];
        let same_state = object.enabled.is_none_or(|it| it == account.enabled);
        (!is_whole || same_value()) && (!is_whole || same_state || resource.hides_state(account))
    }

    fn is_team(&self, object: &Object, resource: &Resource) -> bool {
        object.name.eq_ignore_ascii_case(&resource.team_name())
    }

    pub(super) fn member_names(&self, resource: &Resource) -> BTreeSet<String> {
        let members = self.members.iter().enumerate();
        let members = members.filter(|(_, is_in)| **is_in);
        members.map(|(at, _)| resource.member_name(at)).collect()
    }

    pub(super) fn shown(&self, resource: &Resource) -> String {
        let accounts = self.accounts.iter().enumerate();
        let mut shown: Vec<String> = accounts
            .filter_map(|(at, account)| Some((at, account.as_ref()?)))
            .map(|(at, account)| {
                let name = ['a', 'b'].get(at).copied().unwrap_or_default();
                let Account { value, enabled, .. } = account;
                format!("{name} ({value}, enabled: {enabled})")
            })
            .collect();
        shown.extend(self.member_names(resource));
        match shown.is_empty() {
            true => "nothing".to_owned(),
            false => shown.join(" and "),
        }
    }
}

impl Resource {
    /// A host takes an account that nobody can log in to for one that is not enabled.
    pub(super) fn hides_state(&self, account: &Account) -> bool {
        match self.kind {
            Kind::Unix | Kind::Ldap | Kind::ActiveDirectory => account.password.is_none(),
            Kind::Sql => false,
        }
    }
}

fn text(value: &portcullis_proto::gateway::v1::Value) -> Option<String> {
    match value.kind.as_ref()? {
        value::Kind::Text(text) => Some(text.clone()),
        _ => None,
    }
}
