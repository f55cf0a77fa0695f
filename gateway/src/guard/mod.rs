//! Guard rails: what any server may do through a connector, decided on this gateway alone.
//!
//! They hold whatever the server says: a stolen server can do on this host only what is left open
//! here.

mod effects;
mod ids;
mod pattern;
mod relations;
mod secrets;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Section;
use crate::model::{
    Failure, FailureKind, GuardDefaults, LockoutLimit, NameComparison, ObjectClass, Verb,
};

pub(crate) use effects::Effects;
use ids::parse_range;
use pattern::{Pattern, Prepared};
pub(crate) use relations::Relations;
pub(crate) use secrets::{check_filter, check_sealed, conceal, is_secret};

/// One hour: the window of `max_deletes_per_hour`.
const HOUR: Duration = Duration::from_secs(3600);

const MINUTE: Duration = Duration::from_secs(60);

/// The guard rails of one connector.
#[derive(Debug)]
pub struct GuardRails {
    connector: String,
    read_only: bool,
    allowed_verbs: BTreeSet<Verb>,
    protected_accounts: Vec<Pattern>,
    protected_groups: Vec<Pattern>,
    protected_ids_below: u64,
    /// Groups below that which protect nobody who is in one.
    harmless_groups: Vec<Pattern>,
    /// `None`: every group that is not protected.
    allowed_groups: Option<Vec<Pattern>>,
    /// First and last ids that may be asked for; `None`: as the resource has it.
    allowed_ids: Option<Vec<(u64, u64)>>,
    /// How names are held against what protects them.
    compare_names: NameComparison,
    max_search_results: usize,
    /// Wrong passwords of one account that are tried, and within which time.
    wrong_passwords: Option<(u32, Duration)>,
    max_deletes_per_hour: usize,
    /// Shared with the guard rails that these take the place of.
    deletes: Arc<Mutex<VecDeque<Instant>>>,
}

impl GuardRails {
    /// The guard rails of `connector` where the configuration has no `guard_rails`.
    pub fn defaults(connector: &str, defaults: &GuardDefaults) -> Self {
        Self::comparing(connector, defaults, defaults.compare_names)
    }

    fn comparing(connector: &str, defaults: &GuardDefaults, comparison: NameComparison) -> Self {
        let built_in = |names: &[&str], comparison| {
            names
                .iter()
                .filter_map(|name| Pattern::parse(name, comparison).ok())
                .collect()
        };
        Self {
            connector: connector.to_owned(),
            read_only: false,
            allowed_verbs: Verb::ALL.into(),
            protected_accounts: built_in(defaults.protected_accounts, comparison),
            protected_groups: built_in(defaults.protected_groups, comparison),
            protected_ids_below: defaults.protected_ids_below,
            harmless_groups: built_in(defaults.harmless_groups, OPENING),
            allowed_groups: None,
            allowed_ids: None,
            compare_names: comparison,
            max_search_results: 10_000,
            wrong_passwords: None,
            max_deletes_per_hour: 100,
            deletes: Arc::default(),
        }
    }

    /// Takes the place of others: the deletions that those counted count here, too.
    pub fn succeed(&mut self, former: &Self) {
        self.deletes = Arc::clone(&former.deletes);
    }

    /// Reads `[connectors.NAME.guard_rails]`; what is wrong becomes a problem of the section.
    pub fn from_section(
        connector: &str,
        defaults: &GuardDefaults,
        section: Option<Section<'_>>,
    ) -> Self {
        let Some(mut section) = section else {
            return Self::defaults(connector, defaults);
        };
        let comparison = read_comparison(&mut section).unwrap_or(defaults.compare_names);
        let mut rails = Self::comparing(connector, defaults, comparison);
        rails.read_only = section.boolean("read_only").unwrap_or(false);
        if let Some(verbs) = section.list("allowed_verbs", parse_verb) {
            rails.allowed_verbs = verbs.into_iter().collect();
        }
        let protecting = |text: &str| Pattern::parse(text, comparison);
        let patterns = section.list("protected_accounts", protecting);
        rails
            .protected_accounts
            .extend(patterns.unwrap_or_default());
        let patterns = section.list("protected_groups", protecting);
        rails.protected_groups.extend(patterns.unwrap_or_default());
        if let Some(id) = section.integer("protected_ids_below", 0..=u64::from(u32::MAX)) {
            rails.protected_ids_below = id;
        }
        let opening = |text: &str| Pattern::parse(text, OPENING);
        if let Some(harmless) = section.list("harmless_groups", opening) {
            rails.harmless_groups = harmless;
        }
        rails.allowed_groups = section.list("allowed_groups", opening);
        rails.allowed_ids = section.list("allowed_ids", parse_range);
        if let Some(most) = section.integer("max_search_results", 1..=100_000_000) {
            rails.max_search_results = usize::try_from(most).unwrap_or(usize::MAX);
        }
        rails.wrong_passwords = wrong_passwords(&mut section);
        if let Some(most) = section.integer("max_deletes_per_hour", 0..=1_000_000) {
            rails.max_deletes_per_hour = usize::try_from(most).unwrap_or(usize::MAX);
        }
        section.finish();
        rails
    }

    /// How many wrong passwords of one account are tried at the most, whatever the target says.
    pub fn wrong_passwords(&self) -> Option<LockoutLimit> {
        self.wrong_passwords.map(|(most, within)| LockoutLimit {
            threshold: most.saturating_add(1),
            window: Some(within),
            failures: None,
            told_by: String::new(),
        })
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
        let prepared = self.prepared(name);
        match patterns.find(|(_, pattern)| pattern.matches(&prepared)) {
            Some((rule, pattern)) => Err(self.refusal(
                rule,
                format!("the name `{name}` is protected by `{pattern}`"),
            )),
            None => Ok(()),
        }
    }

    /// Refuses a further name to log in by, such as `NAME@DOMAIN`, that begins with a protected
    /// one: it could be taken for that account.
    ///
    /// # Errors
    /// A [`Failure`] that names the rule.
    pub(crate) fn check_log_in(&self, name: &str) -> Result<(), Failure> {
        let first = name.split('@').next();
        let last = name.rsplit_once('@').map(|(local, _)| local);
        let each = [Some(name), first, last].into_iter().flatten();
        let mut each = each.map(|name| self.check_name(ObjectClass::Account, name));
        each.find(Result::is_err).unwrap_or(Ok(()))
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
            Some(number) if self.is_below(Some(number)) => Err(self.refusal(
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
        let prepared = Prepared::new(group, OPENING);
        if !allowed.iter().any(|pattern| pattern.matches(&prepared)) {
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
        let prepared = Prepared::new(group, OPENING);
        allowed.any(|pattern| pattern.is_literal() && pattern.matches(&prepared))
    }

    /// Whether a group with a protected id protects nobody who is in it.
    fn is_harmless(&self, group: &str) -> bool {
        let prepared = Prepared::new(group, OPENING);
        let mut harmless = self.harmless_groups.iter();
        harmless.any(|pattern| pattern.matches(&prepared))
    }

    /// Whether an id is protected.
    fn is_below(&self, number: Option<u64>) -> bool {
        number.is_some_and(|number| number < self.protected_ids_below)
    }

    /// A name as it is held against what protects.
    fn prepared(&self, name: &str) -> Prepared {
        Prepared::new(name, self.compare_names)
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

    /// Whether every change of a membership, of a name or an id is open.
    pub(crate) fn opens_everything(&self) -> bool {
        self.protects_nothing(ObjectClass::Account) && self.opens_every_group()
    }

    /// Whether the groups that an account is in decide anything.
    pub(crate) fn protects_by_group(&self) -> bool {
        !self.protects_nothing(ObjectClass::Group)
    }

    /// Whether ids decide anything.
    pub(crate) fn protects_ids(&self) -> bool {
        self.protected_ids_below > 0
    }

    /// Whether some ids may not be asked for.
    pub(crate) fn bounds_ids(&self) -> bool {
        self.protects_ids() || self.allowed_ids.is_some()
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

/// What opens something is compared narrowly, whatever the resource takes for the same: a name that
/// only resembles the one that is written out opens nothing.
const OPENING: NameComparison = NameComparison::CaseInsensitive;

fn read_comparison(section: &mut Section<'_>) -> Option<NameComparison> {
    let text = section.text("compare_names")?;
    let mut all = NameComparison::ALL.into_iter();
    let found = all.find(|comparison| comparison.name() == text);
    if found.is_none() {
        let all = NameComparison::ALL.map(|comparison| format!("`{}`", comparison.name()));
        let message = format!("`{text}`: {} are allowed", all.join(", "));
        section.problem("compare_names", message);
    }
    found
}

fn wrong_passwords(section: &mut Section<'_>) -> Option<(u32, Duration)> {
    let within = section.duration("wrong_passwords_within", MINUTE..=24 * 7 * HOUR);
    let most = section.integer("wrong_passwords", 1..=1_000)?;
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    Some((most, within.unwrap_or(30 * MINUTE)))
}

fn parse_verb(name: &str) -> Result<Verb, String> {
    Verb::from_name(name).ok_or_else(|| {
        let all = Verb::ALL.map(|verb| format!("`{verb}`")).join(", ");
        format!("{all} are allowed")
    })
}

#[cfg(test)]
mod roles_tests;
