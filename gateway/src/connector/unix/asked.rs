//! What a change of an account or a group asks for, held against what is there afterwards: no
//! change is done because a program said so.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::database::today;
use super::{Account, Database, Group, Unix};
use crate::model::{CallError, Failure, Object};

/// One thing that an account is to be or to have.
#[derive(Debug)]
pub(super) enum Wanted {
    Enabled(bool),
    Uid(u32),
    Gid(u32),
    Home(String),
    Shell(String),
    Comment(String),
    /// The expiry day that it has, or is to get back when it is enabled.
    Expires(Option<i64>),
    In(String),
    NotIn(String),
    /// What stands for its password.
    Hash(Hash),
}

/// A stored password that no log shows.
pub(super) struct Hash(pub(super) Zeroizing<String>);

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash([redacted])")
    }
}

/// All that an account is to be or to have.
#[derive(Debug, Default)]
pub(super) struct Asked(Vec<Wanted>);

impl Asked {
    pub(super) fn push(&mut self, wanted: Wanted) {
        self.0.push(wanted);
    }

    /// What the account lacks of it, each as a sentence's end.
    fn lacking(&self, unix: &Unix, now: &Database, account: &Account) -> Vec<String> {
        let lacks = |wanted: &&Wanted| !wanted.is_met(unix, now, account);
        self.0
            .iter()
            .filter(lacks)
            .map(|wanted| wanted.told(now, account))
            .collect()
    }
}

impl Wanted {
    fn is_done(
        &self,
        unix: &Unix,
        before: (&Database, &Account),
        now: (&Database, &Account),
    ) -> bool {
        !self.is_met(unix, before.0, before.1) && self.is_met(unix, now.0, now.1)
    }

    fn is_met(&self, unix: &Unix, now: &Database, account: &Account) -> bool {
        let is_in = |group: &str| now.groups_of(&account.name).contains(&group);
        match self {
            Self::Enabled(enabled) => account.is_enabled(today()) == *enabled,
            Self::Uid(uid) => account.uid == *uid,
            Self::Gid(gid) => account.gid == *gid,
            Self::Home(home) => account.home == *home,
            Self::Shell(shell) => account.shell == *shell,
            Self::Comment(comment) => account.gecos == *comment,
            Self::Expires(day) => unix
                .real_expiry(account)
                .is_ok_and(|expires| expires == *day),
            Self::In(group) => is_in(group),
            Self::NotIn(group) => !is_in(group),
            Self::Hash(hash) => account.password.is(&hash.0),
        }
    }

    fn told(&self, now: &Database, account: &Account) -> String {
        match self {
            Self::Enabled(true) => "still cannot log in".to_owned(),
            Self::Enabled(false) => "can still log in".to_owned(),
            Self::Uid(uid) => format!("has the uid {}, not {uid}", account.uid),
            Self::Gid(gid) => {
                let name = |gid| match now.group_of_gid(gid) {
                    Some(group) => format!("`{}` ({gid})", group.name),
                    None => gid.to_string(),
                };
                format!(
                    "has the primary group {}, not {}",
                    name(account.gid),
                    name(*gid)
                )
            }
            Self::Home(home) => format!("has the home `{}`, not `{home}`", account.home),
            Self::Shell(shell) => format!("has the shell `{}`, not `{shell}`", account.shell),
            Self::Comment(_) => "has another comment than was asked for".to_owned(),
            Self::Expires(_) => "has another expiry day than was asked for".to_owned(),
            Self::In(group) => format!("is not in group `{group}`"),
            Self::NotIn(group) => format!("is still in group `{group}`"),
            Self::Hash(_) => "has another password than was asked for".to_owned(),
        }
    }
}

/// What is so now, and was not before: the end of a sentence on the account.
fn told_done(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Enabled(true) => "can log in now".to_owned(),
        Wanted::Enabled(false) => "cannot log in any more".to_owned(),
        Wanted::Uid(uid) => format!("has the uid {uid} now"),
        Wanted::Gid(gid) => format!("has the primary group {gid} now"),
        Wanted::Home(home) => format!("has the home `{home}` now"),
        Wanted::Shell(shell) => format!("has the shell `{shell}` now"),
        Wanted::Comment(_) => "has the comment that was asked for".to_owned(),
        Wanted::Expires(_) => "has the expiry day that was asked for".to_owned(),
        Wanted::In(group) => format!("is in group `{group}` now"),
        Wanted::NotIn(group) => format!("is not in group `{group}` any more"),
        Wanted::Hash(_) => "has the password that was asked for".to_owned(),
    }
}

impl Unix {
    /// What an account that was changed has become of what was asked for, and what it lacks: the
    /// middle of a sentence.
    pub(super) fn come_to(
        &self,
        before: &Database,
        now: &Database,
        name: &str,
        asked: &Asked,
    ) -> Option<String> {
        let done: Vec<_> = match (before.account(name), now.account(name)) {
            (Some(was), Some(is)) => asked
                .0
                .iter()
                .filter(|wanted| wanted.is_done(self, (before, was), (now, is)))
                .map(told_done)
                .collect(),
            _ => Vec::new(),
        };
        let lacking = self.lacking(now, name, asked).join(" and ");
        match (done.join(" and "), lacking) {
            (done, lacking) if done.is_empty() && lacking.is_empty() => None,
            (done, lacking) if done.is_empty() => Some(lacking),
            (done, lacking) if lacking.is_empty() => Some(done),
            (done, lacking) => Some(format!("{done}, but {lacking}")),
        }
    }

    /// What an account, by its present name, lacks of what was asked for.
    pub(super) fn lacking(&self, now: &Database, name: &str, asked: &Asked) -> Vec<String> {
        match now.account(name) {
            Some(account) => asked.lacking(self, now, account),
            None => vec!["is not there".to_owned()],
        }
    }

    /// The account after a change that the programs say is done, if it now is what was asked for.
    pub(super) async fn confirm(
        &self,
        before: &Database,
        (old_name, name): (&str, &str),
        asked: &Asked,
    ) -> Result<Object, CallError> {
        let now = self.read().await.map_err(|failure| {
            CallError::Indeterminate(format!(
                "account `{name}` was changed, but cannot be read again: {}",
                failure.message
            ))
        })?;
        let lacking = self.lacking(&now, name, asked);
        if let (Some(account), true) = (now.account(name), lacking.is_empty()) {
            return Ok(self.account_object(&now, account)?);
        }
        let view = super::accounts::view(old_name);
        let same = view(&now) == view(before);
        Err(differs(&format!("account `{name}`"), same, &lacking))
    }
}

/// The answer to a change that the programs say is done, and that is not.
pub(super) fn differs(what: &str, same: bool, lacking: &[String]) -> CallError {
    let lacking = lacking.join(" and ");
    if same {
        return Failure::rejected(format!(
            "the programs report no error, but {what} is as it was: it {lacking}"
        ))
        .into();
    }
    CallError::Indeterminate(format!(
        "the programs report no error, but {what} has changed only in part: it {lacking}; look at it before you try again"
    ))
}

/// What a group lacks of the members that were asked for.
pub(super) fn members_lacking(group: &Group, joined: &[&str], left: &[&str]) -> Vec<String> {
    let present: HashSet<_> = group.members.iter().map(String::as_str).collect();
    let is_in = |member: &&&str| present.contains(**member);
    let missing = joined.iter().filter(|member| !is_in(member)).copied();
    let staying = left.iter().filter(is_in).copied();
    let told = |what, names: Vec<&str>| {
        let (first, count) = (names.first()?, names.len());
        let more = match count {
            1 => String::new(),
            _ => format!(" and {} more", count - 1),
        };
        Some(format!("{what} `{first}`{more}"))
    };
    [
        told("lacks the member", missing.collect()),
        told("still has the member", staying.collect()),
    ]
    .into_iter()
    .flatten()
    .collect()
}
