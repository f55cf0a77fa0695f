//! Judges accounts and groups by how they stand to one another.
//!
//! An account is protected by its name and its number, by another account that has the same number,
//! and by each group that it is in. A group is protected by its name and its number, by another
//! group that has the same number, and where it is the own group of a protected account: one of its
//! name, or its primary group.
//!
//! Every object is judged once, so that the cost grows with what a call touches.

use std::collections::HashMap;

use super::GuardRails;
use super::pattern::Prepared;
use crate::model::{
    AccountStanding, Failure, GroupStanding, Object, ObjectClass, Standings, Touched,
};

/// Why an account is protected.
#[derive(Clone, Copy, Debug)]
enum Reason<'a> {
    /// By its name.
    Name,
    /// By its number.
    Number,
    /// By a group that it is in.
    Group(&'a GroupStanding),
    /// By an account of the same number.
    Twin(&'a AccountStanding),
}

/// The judgement on all that a call touches.
pub(crate) struct Relations<'a> {
    rails: &'a GuardRails,
    standings: &'a Standings,
    /// Numbers of groups that are protected by their names, with those names.
    rulers: HashMap<u64, &'a str>,
    /// Protected accounts by name.
    by_name: HashMap<Prepared, (&'a AccountStanding, Reason<'a>)>,
    /// Protected accounts by the number of their primary group.
    by_primary: HashMap<u64, (&'a AccountStanding, Reason<'a>)>,
    /// Protected accounts that the call touches.
    touched: Vec<(&'a AccountStanding, Reason<'a>)>,
    by_number: bool,
}

impl<'a> Relations<'a> {
    pub(crate) fn new(rails: &'a GuardRails, standings: &'a Standings, by_number: bool) -> Self {
        let mut relations = Self {
            rails,
            standings,
            rulers: HashMap::new(),
            by_name: HashMap::new(),
            by_primary: HashMap::new(),
            touched: Vec::new(),
            by_number,
        };
        for group in &standings.groups {
            if let (Some(name), Some(number)) = (&group.name, group.number)
                && !rails.opens(name)
                && rails.check_name(ObjectClass::Group, name).is_err()
            {
                relations.rulers.entry(number).or_insert(name);
            }
        }
        relations.judge_accounts();
        relations
    }

    fn judge_accounts(&mut self) {
        let groups = &self.standings.groups;
        let protecting: Vec<bool> = groups.iter().map(|group| self.protects(group)).collect();
        let mut twins = HashMap::new();
        let mut open = Vec::new();
        for account in &self.standings.accounts {
            match self.reason(account, &protecting) {
                Some(reason) => {
                    if let Some(number) = account.number {
                        twins.entry(number).or_insert(account);
                    }
                    self.note(account, reason);
                }
                None => open.push(account),
            }
        }
        for account in open {
            if let Some(twin) = account.number.and_then(|number| twins.get(&number)) {
                self.note(account, Reason::Twin(twin));
            }
        }
    }

    fn note(&mut self, account: &'a AccountStanding, reason: Reason<'a>) {
        let noted = (account, reason);
        let name = self.rails.prepared(&account.name);
        self.by_name.entry(name).or_insert(noted);
        if let Some(primary) = account.primary {
            self.by_primary.entry(primary).or_insert(noted);
        }
        if account.touched {
            self.touched.push(noted);
        }
    }

    fn reason(&self, account: &AccountStanding, protecting: &[bool]) -> Option<Reason<'a>> {
        let class = ObjectClass::Account;
        if self.rails.check_name(class, &account.name).is_err() {
            return Some(Reason::Name);
        }
        let number = self
            .rails
            .check_number(class, &account.name, account.number);
        if number.is_err() {
            return Some(Reason::Number);
        }
        let mut groups = account.groups.iter();
        let place = groups.find(|place| protecting.get(**place) == Some(&true))?;
        self.standings.groups.get(*place).map(Reason::Group)
    }

    /// Whether a group protects those who are in it. One that `allowed_groups` opens by its name
    /// does not, unless its number is that of another which is not open.
    fn protects(&self, group: &GroupStanding) -> bool {
        if group
            .number
            .is_some_and(|number| self.rulers.contains_key(&number))
        {
            return true;
        }
        let Some(name) = &group.name else {
            return self.rails.is_below(group.number);
        };
        !self.rails.opens(name)
            && (self.rails.check_name(ObjectClass::Group, name).is_err()
                || (self.rails.is_below(group.number) && !self.rails.is_harmless(name)))
    }

    /// Holds the guard rails against all of it.
    ///
    /// # Errors
    /// A [`Failure`] that names the rule.
    pub(crate) fn check(&self, touched: &Touched<'_>) -> Result<(), Failure> {
        if let Some((account, reason)) = self.touched.first() {
            return Err(self.protected(account, *reason));
        }
        self.check_log_ins()?;
        if let Some(target) = touched.target {
            self.check_target(target)?;
        }
        for name in &touched.groups {
            self.rails.check_membership(name.as_str(), None)?;
        }
        let joined = self.standings.groups.iter().filter(|group| group.touched);
        joined
            .clone()
            .try_for_each(|group| self.check_membership(group))?;
        for &number in &touched.numbers {
            let any = joined.clone().any(|group| group.number == Some(number));
            if !any {
                self.check_membership(&GroupStanding {
                    name: None,
                    number: Some(number),
                    touched: true,
                })?;
            }
        }
        match &touched.new_name {
            Some((class, name)) => self.check_new_name(*class, name.as_str()),
            None => Ok(()),
        }
    }

    /// Whoever has the name of a protected account to log in by may be taken for it.
    fn check_log_ins(&self) -> Result<(), Failure> {
        for (name, place) in &self.standings.log_ins {
            let other = self.standings.accounts.get(*place);
            let protected = other.and_then(|other| {
                let name = self.rails.prepared(&other.name);
                self.by_name.get(&name)
            });
            if let Some((other, reason)) = protected {
                let (rule, why) = self.why(other, *reason);
                return Err(self.rails.refusal(
                    rule,
                    format!(
                        "who logs in as `{name}` could be taken for `{}`, and {why}",
                        other.name
                    ),
                ));
            }
        }
        Ok(())
    }

    fn check_target(&self, target: &Object) -> Result<(), Failure> {
        if target.identity.class == ObjectClass::Account {
            return Ok(());
        }
        let name = target.identity.name.as_str();
        let mut groups = self.standings.groups.iter();
        let group = groups.find(|group| group.name.as_deref() == Some(name));
        self.check_own(name, group.and_then(|group| group.number))
    }

    /// Whether anybody may join or leave a group.
    fn check_membership(&self, group: &GroupStanding) -> Result<(), Failure> {
        let Some(name) = &group.name else {
            let shown = group.number.unwrap_or_default().to_string();
            self.rails
                .check_number(ObjectClass::Group, &shown, group.number)?;
            return self.check_own(&shown, group.number);
        };
        self.rails.check_membership(name, group.number)?;
        if self.rails.opens(name) {
            return self.check_second_name(name, group.number);
        }
        self.check_own(name, group.number)
    }

    /// A name that an object of one class gets may be that of a protected one of the other, which
    /// is taken for its own.
    fn check_new_name(&self, class: ObjectClass, name: &str) -> Result<(), Failure> {
        if class != ObjectClass::Account {
            return self.check_owner_of_name(name);
        }
        let prepared = self.rails.prepared(name);
        let groups = self.standings.groups.iter();
        let named = |group: &&GroupStanding| {
            let name = group.name.as_ref();
            name.is_some_and(|name| self.rails.prepared(name) == prepared)
        };
        for group in groups.filter(named) {
            self.rails
                .check_number(ObjectClass::Group, name, group.number)?;
            self.check_second_name(name, group.number)?;
            if let Some(owner) = group.number.and_then(|number| self.by_primary.get(&number)) {
                return Err(self.owned(name, *owner));
            }
        }
        Ok(())
    }

    /// Refuses a group that is another one's second name, or a protected account's own.
    fn check_own(&self, name: &str, number: Option<u64>) -> Result<(), Failure> {
        self.check_second_name(name, number)?;
        if let Some(owner) = number.and_then(|number| self.by_primary.get(&number)) {
            return Err(self.owned(name, *owner));
        }
        self.check_owner_of_name(name)
    }

    fn check_owner_of_name(&self, name: &str) -> Result<(), Failure> {
        if !self.by_number {
            return Ok(());
        }
        self.rails.check_name(ObjectClass::Account, name)?;
        match self.by_name.get(&self.rails.prepared(name)) {
            Some(owner) => Err(self.owned(name, *owner)),
            None => Ok(()),
        }
    }

    fn check_second_name(&self, name: &str, number: Option<u64>) -> Result<(), Failure> {
        let ruler = number.and_then(|number| self.rulers.get(&number));
        match ruler.filter(|ruler| **ruler != name) {
            Some(ruler) => Err(self.rails.refusal(
                "protected_groups",
                format!("group `{name}` has the same id as the protected group `{ruler}`"),
            )),
            None => Ok(()),
        }
    }

    fn owned(&self, group: &str, owner: (&AccountStanding, Reason<'_>)) -> Failure {
        let (account, reason) = owner;
        let (rule, why) = self.why(account, reason);
        self.rails.refusal(
            rule,
            format!(
                "group `{group}` is the own group of `{}`, whose files are often open to it, and {why}",
                account.name
            ),
        )
    }

    fn protected(&self, account: &AccountStanding, reason: Reason<'_>) -> Failure {
        let (rule, why) = self.why(account, reason);
        self.rails.refusal(rule, why)
    }

    /// The rule that protects an account, and a sentence on why.
    fn why(&self, account: &AccountStanding, reason: Reason<'_>) -> (&'static str, String) {
        let name = &account.name;
        match reason {
            Reason::Name => (
                "protected_accounts",
                format!("the account `{name}` is protected by its name"),
            ),
            Reason::Number => (
                "protected_ids_below",
                format!(
                    "the account `{name}` is protected by its id {}",
                    account.number.unwrap_or_default()
                ),
            ),
            Reason::Twin(twin) => (
                "protected_accounts",
                format!(
                    "the account `{name}` has the same id as the protected account `{}`",
                    twin.name
                ),
            ),
            Reason::Group(group) => self.why_group(name, group),
        }
    }

    fn why_group(&self, account: &str, group: &GroupStanding) -> (&'static str, String) {
        let number = group.number.unwrap_or_default();
        let ruler = self.rulers.get(&number).filter(|_| group.number.is_some());
        match (ruler, group.name.as_deref()) {
            (Some(ruler), Some(name)) if *ruler != name => (
                "protected_groups",
                format!(
                    "account `{account}` is in the group `{name}`, which has the same id as the protected group `{ruler}`"
                ),
            ),
            (_, Some(name)) if self.rails.check_name(ObjectClass::Group, name).is_err() => (
                "protected_groups",
                format!(
                    "account `{account}` is in the protected group `{name}`, and who acts as it has what the group has; to open it, write out the group's name in `allowed_groups`"
                ),
            ),
            (_, name) => (
                "protected_ids_below",
                format!(
                    "account `{account}` is in the group {} with the id {number}, and who acts as it has what the group has; to open it, write out the group's name in `allowed_groups`, or in `harmless_groups` if it gives no power",
                    name.map_or_else(|| "without a name".to_owned(), |name| format!("`{name}`")),
                ),
            ),
        }
    }
}
