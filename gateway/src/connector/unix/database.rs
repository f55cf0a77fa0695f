//! Reads the account files: `etc/passwd`, `etc/group` and `etc/shadow` under a prefix.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use portcullis_host::clock;
use zeroize::Zeroizing;

use crate::model::Failure;

/// What is larger than this is no account file.
const MAX_FILE_LEN: u64 = 256 * 1024 * 1024;

/// The expiry day that a disabled account has: 2 January 1970.
pub(super) const DISABLED_DAY: i64 = 1;

/// 31 December 9999, the last day that a time can be written for. Later ones mean `never`.
const LAST_DAY: i64 = 2_932_896;

/// All accounts and groups, as they stood at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Database {
    /// In the order of the file.
    pub(super) accounts: Vec<Account>,
    /// In the order of the file.
    pub(super) groups: Vec<Group>,
    /// Lines that were skipped because they make no sense.
    pub(super) skipped: Vec<String>,
    /// Places in `groups` of those that list an account as a member.
    groups_of: HashMap<String, Vec<usize>>,
    /// The place in `groups` of the first group with a gid.
    group_of_gid: HashMap<u32, usize>,
    /// The place in `accounts` of the first account with a name.
    account_of_name: HashMap<String, usize>,
    /// The place in `groups` of the first group with a name.
    group_of_name: HashMap<String, usize>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) gecos: String,
    pub(super) home: String,
    pub(super) shell: String,
    pub(super) password: PasswordField,
    /// Day of the last change of the password, from 1970-01-01.
    pub(super) last_change: Option<i64>,
    /// Day from which on the account cannot log in.
    pub(super) expires: Option<i64>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) gid: u32,
    pub(super) members: Vec<String>,
}

/// The password field of an account: a hash, perhaps locked by a leading `!`, or something that no
/// password fits.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordField(Zeroizing<String>);

impl PasswordField {
    pub(super) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The hash, whether locked or not.
    pub(super) fn hash(&self) -> Option<&str> {
        let hash = self.0.trim_start_matches('!');
        // Shorter than any hash: `*`, `!!`, `x`, `NP` and the like.
        (hash.len() >= 13).then_some(hash)
    }

    /// How many lock signs stand before the hash.
    pub(super) fn locks(&self) -> usize {
        let signs = self.0.len() - self.0.trim_start_matches('!').len();
        if self.hash().is_some() { signs } else { 0 }
    }

    /// The field without its lock, where a hash is locked.
    pub(super) fn unlocked(&self) -> Self {
        Self::new(self.hash().unwrap_or(&self.0))
    }

    /// Whether just this is stored.
    pub(super) fn is(&self, stored: &str) -> bool {
        *self.0 == *stored
    }

    /// Whether a hash is there but locked.
    pub(super) fn is_locked(&self) -> bool {
        self.0.starts_with('!') && self.hash().is_some()
    }
}

impl fmt::Debug for PasswordField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordField([redacted])")
    }
}

impl Account {
    /// Whether its expiry day has come.
    pub(super) fn has_expired(&self, today: i64) -> bool {
        self.expires.is_some_and(|day| day <= today)
    }

    /// Whether it may log in: neither locked nor expired.
    pub(super) fn is_enabled(&self, today: i64) -> bool {
        !self.password.is_locked() && !self.has_expired(today)
    }
}

impl Database {
    /// Reads the files under `prefix`. Lines that make no sense are skipped.
    pub(super) fn read(prefix: &Path) -> Result<Self, Failure> {
        let mut database = Self::default();
        let shadow = read_shadow(prefix, &mut database.skipped)?;
        let passwd = read_file(&prefix.join("etc/passwd"))?;
        for (number, line) in lines(&passwd) {
            match parse_account(line, &shadow) {
                Some(account) => database.accounts.push(account),
                None => database.skip("etc/passwd", number),
            }
        }
        let group = read_file(&prefix.join("etc/group"))?;
        for (number, line) in lines(&group) {
            match parse_group(line) {
                Some(group) => database.groups.push(group),
                None => database.skip("etc/group", number),
            }
        }
        database.index();
        Ok(database)
    }

    /// Without it, a search would look through every group for every account, and a long list of
    /// names through every line for every name.
    fn index(&mut self) {
        for (place, account) in self.accounts.iter().enumerate() {
            self.account_of_name
                .entry(account.name.clone())
                .or_insert(place);
        }
        for (place, group) in self.groups.iter().enumerate() {
            self.group_of_gid.entry(group.gid).or_insert(place);
            self.group_of_name
                .entry(group.name.clone())
                .or_insert(place);
            for member in &group.members {
                self.groups_of
                    .entry(member.clone())
                    .or_default()
                    .push(place);
            }
        }
    }

    fn skip(&mut self, file: &str, number: usize) {
        self.skipped.push(format!("{file}:{number}"));
    }

    pub(super) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(*self.account_of_name.get(name)?)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(*self.group_of_name.get(name)?)
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
}

/// Today, as a day from 1970-01-01 in UTC.
pub(super) fn today() -> i64 {
    i64::try_from(clock::now().0 / 86_400_000).unwrap_or(i64::MAX)
}

type ShadowEntry = (PasswordField, Option<i64>, Option<i64>);

fn read_shadow(
    prefix: &Path,
    skipped: &mut Vec<String>,
) -> Result<BTreeMap<String, ShadowEntry>, Failure> {
    let path = prefix.join("etc/shadow");
    let mut entries = BTreeMap::new();
    let text = read_file(&path)?;
    for (number, line) in lines(&text) {
        let fields: Vec<_> = line.split(':').collect();
        let (Some(&name), Some(&hash), true) = (fields.first(), fields.get(1), fields.len() >= 8)
        else {
            skipped.push(format!("etc/shadow:{number}"));
            continue;
        };
        let day = |index: usize| -> Option<i64> {
            let day = fields.get(index)?.parse().ok()?;
            (0..=LAST_DAY).contains(&day).then_some(day)
        };
        // The first line counts, as it does for the C library.
        entries
            .entry(name.to_owned())
            .or_insert_with(|| (PasswordField::new(hash), day(2), day(7)));
    }
    Ok(entries)
}

fn parse_account(line: &str, shadow: &BTreeMap<String, ShadowEntry>) -> Option<Account> {
    let fields: Vec<_> = line.split(':').collect();
    let [name, field, uid, gid, gecos, home, shell] = fields.as_slice() else {
        return None;
    };
    if name.is_empty() || crate::model::ObjectName::new(*name).is_err() {
        return None;
    }
    let (password, last_change, expires) = match shadow.get(*name) {
        Some(entry) if *field == "x" => entry.clone(),
        _ => (PasswordField::new(field), None, None),
    };
    Some(Account {
        name: (*name).to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        gecos: (*gecos).to_owned(),
        home: (*home).to_owned(),
        shell: (*shell).to_owned(),
        password,
        last_change,
        expires,
    })
}

fn parse_group(line: &str) -> Option<Group> {
    let fields: Vec<_> = line.split(':').collect();
    let [name, _, gid, members] = fields.as_slice() else {
        return None;
    };
    if name.is_empty() || crate::model::ObjectName::new(*name).is_err() {
        return None;
    }
    Some(Group {
        name: (*name).to_owned(),
        gid: gid.parse().ok()?,
        members: members
            .split(',')
            .filter(|member| !member.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// Lines with their numbers, without empty ones, comments and the markers of the old network
/// directories.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', '+', '-']))
}

pub(super) fn read_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error: io::Error| {
        Failure::unavailable(format!(
            "{} cannot be read: {error}. {}",
            path.display(),
            advice(&error)
        ))
    };
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(unreadable)?;
    let count = file
        .take(MAX_FILE_LEN + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if count as u64 > MAX_FILE_LEN {
        return Err(Failure::unavailable(format!(
            "{} is larger than an account file can be",
            path.display()
        )));
    }
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "Run the gateway as root",
        io::ErrorKind::NotFound => "Look at `prefix` in the connector's configuration",
        _ => "Nothing was begun",
    }
}

/// Where an account's home is really found.
pub(super) fn under(prefix: &Path, home: &str) -> PathBuf {
    prefix.join(home.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(passwd: &str, group: &str, shadow: &str) -> Database {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join("passwd"), passwd).unwrap();
        std::fs::write(etc.join("group"), group).unwrap();
        std::fs::write(etc.join("shadow"), shadow).unwrap();
        Database::read(folder.path()).unwrap()
    }

    #[test]
    fn bad_lines_are_skipped_and_named_and_the_rest_is_read() {
        let read = database(
            "ada:x:1000:1000:Ada:/home/ada:/bin/sh\n\nbroken\nbob:x:-1:0::/:\n+::::::\n# note\neve:x:1001:1001::/home/eve:/bin/sh\nx:y\n:x:0:0::/:\n",
            "staff:x:50:ada,,eve\nnogid:x::\n\u{1b}[31m:x:7:\n",
            "ada:!$6$salt$0123456789:19000:0:99999:7::1:\neve:*\n",
        );
        let names: Vec<_> = read.accounts.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["ada", "eve"]);
        assert_eq!(read.groups_of("eve"), ["staff"]);
        assert_eq!(
            read.skipped,
            [
                "etc/shadow:2",
                "etc/passwd:3",
                "etc/passwd:4",
                "etc/passwd:8",
                "etc/passwd:9",
                "etc/group:2",
                "etc/group:3"
            ]
        );
        let ada = read.account("ada").unwrap();
        assert!(ada.password.is_locked() && ada.has_expired(today()));
        assert!(!format!("{ada:?}").contains("salt"));
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        for file in ["passwd", "group", "shadow"] {
            std::fs::write(etc.join(file), [0xFF, b':', 0, b'\n', 0xFE]).unwrap();
        }
        let read = Database::read(folder.path()).unwrap();
        assert!(read.accounts.is_empty() && read.groups.is_empty());
    }

    #[test]
    fn a_missing_prefix_says_where_to_look() {
        let failure = Database::read(Path::new("/nonexistent")).unwrap_err();
        assert!(failure.message.contains("`prefix`"), "{}", failure.message);
    }
}
