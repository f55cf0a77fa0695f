//! Reads the account files under a prefix: `etc/passwd`, `etc/group`, `etc/shadow` and
//! `etc/gshadow`, who owns ranges in `etc/subuid` and `etc/subgid`, and the remembered expiry days.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use portcullis_host::clock;
use zeroize::Zeroizing;

use super::ageing::{Ageing, expiry_day};
use super::expiry::Remembered;
use super::faults::{Fault, Faults};
use super::files;
use super::lines::{self, lines};
use super::password_field::PasswordField;
use super::text::{Text, shown};
use crate::model::{Failure, ObjectName};

/// The expiry day that a disabled account has: 2 January 1970.
pub(super) const DISABLED_DAY: i64 = 1;

/// All accounts and groups, as they stood at one moment.
#[derive(Clone, Debug)]
pub(super) struct Database {
    /// In the order of the file.
    pub(super) accounts: Vec<Account>,
    /// In the order of the file.
    pub(super) groups: Vec<Group>,
    /// What is wrong with the files.
    pub(super) faults: Faults,
    /// The expiry days of disabled accounts.
    pub(super) remembered: Remembered,
    /// The place in `accounts` of the first one of a name, which is the one that logs in.
    by_name: HashMap<String, usize>,
    /// The place in `groups` of the first one of a name.
    group_by_name: HashMap<String, usize>,
    /// The place in `groups` of the first group with a gid.
    group_of_gid: HashMap<u32, usize>,
    /// Places in `groups` of those that list an account as a member.
    groups_of: HashMap<String, Vec<usize>>,
    /// Groups whose line in gshadow lists a name that the line in group does not list, as a member
    /// or as an administrator.
    hidden_groups_of: HashMap<String, Vec<String>>,
    /// Names and numbers that own ranges of subordinate ids, each with the file that says so.
    range_owners: HashMap<String, &'static str>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) gecos: Text,
    pub(super) home: String,
    pub(super) shell: String,
    pub(super) password: PasswordField,
    /// Of the password.
    pub(super) ageing: Ageing,
    /// Day from which on the account cannot log in.
    pub(super) expires: Option<i64>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) gid: u32,
    pub(super) members: Vec<String>,
    /// Of members whose names are no UTF-8, as they are shown: the names as they stand there.
    pub(super) unreadable: BTreeMap<String, Vec<u8>>,
    /// Members that stand in gshadow alone: `newgrp` and `sg` take them all the same.
    pub(super) hidden_members: Vec<String>,
    /// Who may change its members, by gshadow.
    pub(super) administrators: Vec<String>,
}

impl Account {
    /// Whether its expiry day has come.
    pub(super) fn has_expired(&self, today: i64) -> bool {
        self.expires.is_some_and(|day| day <= today)
    }

    /// Whether it may log in: not locked, not expired, and its password not run out for good.
    pub(super) fn is_enabled(&self, today: i64) -> bool {
        !self.password.is_locked() && !self.has_expired(today) && !self.ageing.is_inactive(today)
    }
}

impl Database {
    /// Reads the files under `prefix`. Lines that make no sense to the C library are left out and
    /// counted among the faults.
    pub(super) fn read(prefix: &Path) -> Result<Self, Failure> {
        let mut faults = Faults::default();
        let passwd = files::read(prefix, files::PASSWD)?;
        let shadow = files::read_if_there(prefix, files::SHADOW)?;
        let shadow = read_shadow(&shadow, &mut faults);
        let group = files::read(prefix, files::GROUP)?;
        let gshadow = files::read_if_there(prefix, files::GSHADOW)?;
        let gshadow = read_gshadow(&gshadow, &mut faults);
        let mut database = Self {
            accounts: read_accounts(&passwd, &shadow, &mut faults),
            groups: read_groups(&group, &gshadow, &mut faults),
            faults,
            remembered: Remembered::load(prefix)?,
            by_name: HashMap::new(),
            group_by_name: HashMap::new(),
            group_of_gid: HashMap::new(),
            groups_of: HashMap::new(),
            hidden_groups_of: HashMap::new(),
            range_owners: read_range_owners(prefix)?,
        };
        database.index();
        database.index_hidden(&gshadow);
        Ok(database)
    }

    /// Without it, a search would look through every group for every account.
    fn index(&mut self) {
        for (place, account) in self.accounts.iter().enumerate() {
            self.by_name.entry(account.name.clone()).or_insert(place);
        }
        for (place, group) in self.groups.iter().enumerate() {
            self.group_by_name
                .entry(group.name.clone())
                .or_insert(place);
            self.group_of_gid.entry(group.gid).or_insert(place);
            for member in &group.members {
                let places = self.groups_of.entry(member.clone()).or_default();
                places.push(place);
            }
        }
    }

    /// Also of groups that gshadow alone has: one that is made under that name takes them over.
    fn index_hidden(&mut self, gshadow: &BTreeMap<String, Hidden>) {
        for (name, hidden) in gshadow {
            let group = self.group(name);
            let members = group.map_or(&[][..], |group| &group.members);
            let is_alone = group.is_none();
            let new: Vec<_> = without(&hidden.members, members)
                .into_iter()
                .chain(without(&hidden.administrators, members))
                .collect();
            if is_alone || !same(members, &hidden.members) {
                self.faults.add(Fault::GroupsDiffer(name.clone()));
            }
            for member in new {
                let groups = self.hidden_groups_of.entry(member).or_default();
                if groups.last() != Some(name) {
                    groups.push(name.clone());
                }
            }
        }
    }

    pub(super) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(*self.by_name.get(name)?)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(*self.group_by_name.get(name)?)
    }

    pub(super) fn group_of_gid(&self, gid: u32) -> Option<&Group> {
        self.groups.get(*self.group_of_gid.get(&gid)?)
    }

    /// Names of the groups that list the account as a member, sorted.
    pub(super) fn groups_of(&self, account: &str) -> Vec<&str> {
        let places = self.groups_of.get(account).into_iter().flatten();
        let mut names: Vec<_> = places
            .filter_map(|place| self.groups.get(*place))
            .map(|group| group.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Names of the groups whose line in gshadow lists the account as a member or administrator
    /// though their line in group does not, sorted.
    pub(super) fn hidden_groups_of(&self, account: &str) -> &[String] {
        self.hidden_groups_of
            .get(account)
            .map_or(&[], Vec::as_slice)
    }

    /// The file in which a name or a number owns subordinate ids.
    pub(super) fn owns_ranges_in(&self, owner: &str) -> Option<&'static str> {
        self.range_owners.get(owner).copied()
    }

    /// Forgets the hashes, where they are not needed.
    pub(super) fn forget_hashes(&mut self) {
        for account in &mut self.accounts {
            account.password.forget();
        }
    }
}

/// Today, as a day from 1970-01-01 in UTC.
pub(super) fn today() -> i64 {
    i64::try_from(clock::now().0 / 86_400_000).unwrap_or(i64::MAX)
}

/// What gshadow says of a group.
#[derive(Debug, Default)]
struct Hidden {
    members: Vec<String>,
    administrators: Vec<String>,
}

/// By name, as bytes: the first line of a name counts, as it does for the C library.
type ShadowEntries<'a> = HashMap<&'a [u8], lines::Shadow<'a>>;

fn read_shadow<'a>(file: &'a [u8], faults: &mut Faults) -> ShadowEntries<'a> {
    let mut entries = HashMap::new();
    for line in lines(file) {
        match lines::shadow(line.text) {
            _ if line.is_marker() => faults.add(Fault::marker(files::SHADOW, &line)),
            None => faults.add(Fault::senseless(files::SHADOW, &line)),
            Some(entry) => {
                entries.entry(entry.name).or_insert(entry);
            }
        }
    }
    entries
}

fn read_gshadow(file: &[u8], faults: &mut Faults) -> BTreeMap<String, Hidden> {
    let mut entries = BTreeMap::new();
    for line in lines(file) {
        if line.is_marker() {
            faults.add(Fault::marker(files::GSHADOW, &line));
            continue;
        }
        let entry = lines::gshadow(line.text);
        entries.entry(shown(entry.name)).or_insert_with(|| Hidden {
            members: names(&entry.members),
            administrators: names(&entry.administrators),
        });
    }
    entries
}

fn read_accounts(file: &[u8], shadow: &ShadowEntries<'_>, faults: &mut Faults) -> Vec<Account> {
    let mut accounts = Vec::new();
    for line in lines(file) {
        let Some(entry) = lines::passwd(line.text).filter(|_| !line.is_marker()) else {
            faults.add(Fault::unread(files::PASSWD, &line));
            continue;
        };
        let Some(name) = name(entry.name) else {
            faults.add(Fault::nameless(files::PASSWD, &line));
            continue;
        };
        if !line.is_regular(7, &[2, 3]) {
            faults.add(Fault::irregular(files::PASSWD, &line));
        }
        let shadow = (entry.password == b"x").then(|| shadow.get(entry.name));
        if shadow.is_some_and(|entry| entry.is_none()) {
            faults.add(Fault::NoShadow(name.clone()));
        }
        let shadow = shadow.flatten();
        let password = PasswordField::new(shadow.map_or(entry.password, |entry| entry.password));
        if password.asks_for_none() {
            faults.add(Fault::NoPassword(name.clone()));
        }
        accounts.push(Account {
            uid: entry.uid,
            gid: entry.gid,
            gecos: Text::new(entry.gecos),
            home: shown(entry.home),
            shell: shown(entry.shell),
            password,
            ageing: shadow.map(Ageing::from).unwrap_or_default(),
            expires: shadow.and_then(expiry_day),
            name,
        });
    }
    accounts
}

fn read_groups(file: &[u8], gshadow: &BTreeMap<String, Hidden>, faults: &mut Faults) -> Vec<Group> {
    let mut groups = Vec::new();
    for line in lines(file) {
        let Some(entry) = lines::group(line.text).filter(|_| !line.is_marker()) else {
            faults.add(Fault::unread(files::GROUP, &line));
            continue;
        };
        let Some(name) = name(entry.name) else {
            faults.add(Fault::nameless(files::GROUP, &line));
            continue;
        };
        if !line.is_regular(4, &[2]) {
            faults.add(Fault::irregular(files::GROUP, &line));
        }
        let members = names(&entry.members);
        let hidden = gshadow.get(&name);
        let hidden_members = hidden.map_or(&[][..], |hidden| &hidden.members);
        groups.push(Group {
            gid: entry.gid,
            hidden_members: without(hidden_members, &members),
            administrators: hidden.map_or_else(Vec::new, |hidden| hidden.administrators.clone()),
            members,
            unreadable: unreadable(&entry.members),
            name,
        });
    }
    groups
}

fn read_range_owners(prefix: &Path) -> Result<HashMap<String, &'static str>, Failure> {
    let mut owners = HashMap::new();
    for name in [files::SUBUID, files::SUBGID] {
        let file: Zeroizing<Vec<u8>> = files::read_if_there(prefix, name)?;
        for line in lines(&file) {
            owners.entry(shown(line.name())).or_insert(name);
        }
    }
    Ok(owners)
}

/// A name that can be shown and asked for.
fn name(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    ObjectName::new(text).ok().map(Into::into)
}

fn unreadable(all: &[&[u8]]) -> BTreeMap<String, Vec<u8>> {
    let odd = all.iter().filter(|name| std::str::from_utf8(name).is_err());
    odd.map(|name| (shown(name), name.to_vec())).collect()
}

fn names(all: &[&[u8]]) -> Vec<String> {
    all.iter().map(|name| shown(name)).collect()
}

fn without(all: &[String], some: &[String]) -> Vec<String> {
    if all == some {
        return Vec::new();
    }
    let some: HashSet<_> = some.iter().collect();
    let left = all.iter().filter(|name| !some.contains(name));
    left.cloned().collect()
}

/// Whether two lists name the same.
fn same(left: &[String], right: &[String]) -> bool {
    left == right || (without(left, right).is_empty() && without(right, left).is_empty())
}

/// Where an account's home is really found.
pub(super) fn under(prefix: &Path, home: &str) -> PathBuf {
    prefix.join(home.trim_start_matches('/'))
}

#[cfg(test)]
#[path = "tests/database.rs"]
mod tests;
