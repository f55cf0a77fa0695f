//! Guard rails: what any server may do through a connector, decided on this gateway alone.
//!
//! They hold whatever the server says: a stolen server can do on this host only what is left open
//! here.

mod effects;
mod pattern;
mod secrets;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Section;
use crate::model::{Failure, FailureKind, GuardDefaults, Object, ObjectClass, Roles, Verb};

pub(crate) use effects::Effects;
use effects::groups_of;
use pattern::Pattern;
pub(crate) use secrets::{check_filter, check_sealed, conceal};

/// One hour: the window of `max_deletes_per_hour`.
const HOUR: Duration = Duration::from_secs(3600);

/// The guard rails of one connector.
#[derive(Debug)]
pub struct GuardRails {
    connector: String,
    read_only: bool,
    allowed_verbs: BTreeSet<Verb>,
    protected_accounts: Vec<Pattern>,
    protected_groups: Vec<Pattern>,
    protected_ids_below: u64,
    /// `None`: every group that is not protected.
    allowed_groups: Option<Vec<Pattern>>,
    max_search_results: usize,
    max_deletes_per_hour: usize,
    deletes: Mutex<VecDeque<Instant>>,
}

impl GuardRails {
    /// The guard rails of `connector` where the configuration has no `guard_rails`.
    pub fn defaults(connector: &str, defaults: &GuardDefaults) -> Self {
        let built_in = |names: &[&str]| {
            names
                .iter()
                .filter_map(|name| Pattern::parse(name).ok())
                .collect()
        };
        Self {
            connector: connector.to_owned(),
            read_only: false,
            allowed_verbs: Verb::ALL.into(),
            protected_accounts: built_in(defaults.protected_accounts),
            protected_groups: built_in(defaults.protected_groups),
            protected_ids_below: defaults.protected_ids_below,
            allowed_groups: None,
            max_search_results: 10_000,
            max_deletes_per_hour: 100,
            deletes: Mutex::default(),
        }
    }

    /// Reads `[connectors.NAME.guard_rails]`; what is wrong becomes a problem of the section.
    pub fn from_section(
        connector: &str,
        defaults: &GuardDefaults,
        section: Option<Section<'_>>,
    ) -> Self {
        let mut rails = Self::defaults(connector, defaults);
        let Some(mut section) = section else {
            return rails;
        };
        rails.read_only = section.boolean("read_only").unwrap_or(false);
        if let Some(verbs) = section.list("allowed_verbs", parse_verb) {
            rails.allowed_verbs = verbs.into_iter().collect();
        }
        let patterns = section.list("protected_accounts", Pattern::parse);
        rails
            .protected_accounts
            .extend(patterns.unwrap_or_default());
        let patterns = section.list("protected_groups", Pattern::parse);
        rails.protected_groups.extend(patterns.unwrap_or_default());
        if let Some(id) = section.integer("protected_ids_below", 0..=u64::from(u32::MAX)) {
            rails.protected_ids_below = id;
        }
        rails.allowed_groups = section.list("allowed_groups", Pattern::parse);
        if let Some(most) = section.integer("max_search_results", 1..=1_000_000) {
            rails.max_search_results = usize::try_from(most).unwrap_or(usize::MAX);
        }
        if let Some(most) = section.integer("max_deletes_per_hour", 0..=1_000_000) {
            rails.max_deletes_per_hour = usize::try_from(most).unwrap_or(usize::MAX);
        }
        section.finish();
        rails
    }

    /// Objects that one search may return.
    pub fn max_search_results(&self) -> usize {
        self.max_search_results
    }

    /// Whether the verb is open at all.
    pub fn allows(&self, verb: Verb) -> bool {
        self.allowed_verbs.contains(&verb) && !(self.read_only && verb.changes())
    }

    /// Refuses a verb that is not open.
    ///
    /// # Errors
    /// A [`Failure`] that names the rule.
    pub fn check_verb(&self, verb: Verb) -> Result<(), Failure> {
        if self.read_only && verb.changes() {
            return Err(self.refusal("read_only", format!("`{verb}` would change something")));
        }
        if !self.allowed_verbs.contains(&verb) {
            return Err(self.refusal("allowed_verbs", format!("`{verb}` is not among them")));
        }
        Ok(())
    }

    /// Refuses to touch a protected object. An account is protected, too, by each protected group
    /// that it is in: whoever can set its password, or otherwise act as it, has all that the group
    /// has. A group that `allowed_groups` opens by its name protects nobody. `number` is the
    /// object's numeric id, if it has one.
    ///
    /// # Errors
    /// A [`Failure`] that names the rule.
    pub fn check_object(
        &self,
        object: &Object,
        number: Option<u64>,
        roles: Roles<'_>,
    ) -> Result<(), Failure> {
        let (class, name) = (object.identity.class, object.identity.name.as_str());
        self.check_name(class, name)?;
        self.check_number(class, name, number)?;
        if class == ObjectClass::Group {
            return Ok(());
        }
        let protecting = groups_of(object, roles).find(|group| {
            !self.opens(group) && self.check_name(ObjectClass::Group, group).is_err()
        });
        match protecting {
            Some(group) => Err(self.refusal(
                "protected_groups",
                format!(
                    "account `{name}` is in the protected group `{group}`, and who acts as it has what the group has; to open it, write out the group's name in `allowed_groups`"
                ),
            )),
            None => Ok(()),
        }
    }

    /// Refuses a name that a new or renamed object must not take: that of a protected account or
    /// group, whatever the class, because an account may bring a group of its name with it.
    ///
    /// # Errors
    /// A [`Failure`] that names the rule.
    pub fn check_new_name(&self, name: &str) -> Result<(), Failure> {
        self.check_name(ObjectClass::Account, name)?;
        self.check_name(ObjectClass::Group, name)
    }

    /// Refuses a protected name.
    ///
    /// # Errors
    /// A [`Failure`] that names the rule.
    pub fn check_name(&self, class: ObjectClass, name: &str) -> Result<(), Failure> {
        let mut patterns = self.protecting(class);
        match patterns.find(|(_, pattern)| pattern.matches(name)) {
            Some((rule, pattern)) => Err(self.refusal(
                rule,
                format!("the name `{name}` is protected by `{pattern}`"),
            )),
            None => Ok(()),
        }
    }

    /// Refuses a protected numeric id; an id that is no number is never protected by this.
    ///
    /// # Errors
    /// A [`Failure`] that names the rule.
    pub fn check_number(
        &self,
        class: ObjectClass,
        name: &str,
        number: Option<u64>,
    ) -> Result<(), Failure> {
        match number {
            Some(number) if number < self.protected_ids_below => Err(self.refusal(
                "protected_ids_below",
                format!(
                    "{class} `{name}` has the id {number}, and those below {} are protected",
                    self.protected_ids_below
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses to give or take membership of a group that is not open for it. `number` is the
    /// group's numeric id, if it has one.
    ///
    /// # Errors
    /// A [`Failure`] that names the rule.
    pub fn check_membership(&self, group: &str, number: Option<u64>) -> Result<(), Failure> {
        let protected = self
            .check_name(ObjectClass::Group, group)
            .and_then(|()| self.check_number(ObjectClass::Group, group, number));
        let Some(allowed) = &self.allowed_groups else {
            return protected;
        };
        if self.opens(group) {
            return Ok(());
        }
        if !allowed.iter().any(|pattern| pattern.matches(group)) {
            return Err(self.refusal(
                "allowed_groups",
                format!("group `{group}` is not among them"),
            ));
        }
        // A pattern never opens a protected group: that takes its name, written out.
        protected
    }

    /// Whether `allowed_groups` names the group, written out.
    pub(crate) fn opens(&self, group: &str) -> bool {
        let mut allowed = self.allowed_groups.iter().flatten();
        allowed.any(|pattern| pattern.is_literal() && pattern.matches(group))
    }

    /// Counts a deletion that is about to begin.
    ///
    /// # Errors
    /// A [`Failure`] where as many as are allowed were begun within the past hour.
    pub fn count_delete(&self, now: Instant) -> Result<(), Failure> {
        let mut deletes = self.deletes.lock().unwrap_or_else(PoisonError::into_inner);
        while deletes
            .front()
            .is_some_and(|&begun| now.saturating_duration_since(begun) >= HOUR)
        {
            deletes.pop_front();
        }
        if deletes.len() >= self.max_deletes_per_hour {
            return Err(self.refusal(
                "max_deletes_per_hour",
                format!(
                    "{} deletions were begun within the past hour, and no more than {} are allowed",
                    deletes.len(),
                    self.max_deletes_per_hour
                ),
            ));
        }
        deletes.push_back(now);
        Ok(())
    }

    /// Whether a change can be judged without knowing which object it is about.
    pub(crate) fn protects_nothing(&self, class: ObjectClass) -> bool {
        self.protecting(class).next().is_none() && self.protected_ids_below == 0
    }

    /// The patterns that protect names of a class, each with its rule. A further class may hold
    /// both accounts and groups.
    fn protecting(&self, class: ObjectClass) -> impl Iterator<Item = (&'static str, &Pattern)> {
        let (accounts, groups) = match class {
            ObjectClass::Account => (true, false),
            ObjectClass::Group => (false, true),
            ObjectClass::Other(_) => (true, true),
        };
        let of = |rule, patterns, wanted| {
            let patterns: &[Pattern] = if wanted { patterns } else { &[] };
            patterns.iter().map(move |pattern| (rule, pattern))
        };
        of("protected_accounts", &*self.protected_accounts, accounts).chain(of(
            "protected_groups",
            &*self.protected_groups,
            groups,
        ))
    }

    /// Whether every membership is open.
    pub(crate) fn opens_every_group(&self) -> bool {
        self.allowed_groups.is_none() && self.protects_nothing(ObjectClass::Group)
    }

    /// Whether ids decide anything.
    pub(crate) fn protects_ids(&self) -> bool {
        self.protected_ids_below > 0
    }

    /// A refusal: which rule, why, and where it stands.
    pub(crate) fn refusal(&self, rule: &str, why: String) -> Failure {
        Failure::new(
            FailureKind::Refused,
            format!(
                "the gateway's guard rail `{rule}` forbids this: {why} (see [connectors.{}.guard_rails] in the configuration of the gateway)",
                self.connector
            ),
        )
    }
}

fn parse_verb(name: &str) -> Result<Verb, String> {
    Verb::from_name(name).ok_or_else(|| {
        let all = Verb::ALL.map(|verb| format!("`{verb}`")).join(", ");
        format!("{all} are allowed")
    })
}

#[cfg(test)]
mod roles_tests;
