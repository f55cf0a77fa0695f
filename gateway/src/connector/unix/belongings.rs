//! What a host keeps for an account beside the account files, by its name or by its number.
//!
//! | what | where | rename | deletion | a new account |
//! | --- | --- | --- | --- | --- |
//! | crontab | `var/spool/cron` and its folders | follows | goes | refused |
//! | jobs of at | `var/spool/cron/atjobs`, `var/spool/at` | by number | go | other number |
//! | lingering services | `var/lib/systemd/linger` | follow | go | refused |
//! | SSH keys outside of the home | `etc/ssh/authorized_keys` | follow | go | refused |
//! | mail box | `var/mail`, `var/spool/mail` | follows | goes with the home | refused |
//! | subordinate ids | `etc/subuid`, `etc/subgid` | follow | go | refused |
//! | rights to act as others | [`super::rights`] | stay | stay | refused |
//! | old home directories | the folder of homes | | stay | other number |
//! | processes | of the number | | refused by userdel | other number |

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::database::Database;
use super::rights;
use super::rooted::Folder;
use crate::model::Failure;

/// Folders in which a file has the name of the account that it is of, and what that is.
const BY_NAME: [(&str, &str); 8] = [
    ("var/spool/cron/crontabs", "crontab"),
    ("var/spool/cron/tabs", "crontab"),
    ("var/spool/cron", "crontab"),
    ("var/lib/systemd/linger", "lingering services"),
    ("etc/ssh/authorized_keys", "SSH keys"),
    ("etc/ssh/authorized_keys.d", "SSH keys"),
    ("var/mail", MAIL),
    ("var/spool/mail", MAIL),
];

/// Folders with jobs of at(1), each file of which belongs to its account.
const JOBS: [&str; 2] = ["var/spool/cron/atjobs", "var/spool/at"];

const MAIL: &str = "mail box";

/// A file of this kind, inode(7).
const REGULAR: u32 = 0o100_000;
const FILE_TYPE: u32 = 0o170_000;

/// A file that is kept for an account by its name.
#[derive(Debug)]
struct Kept {
    folder: Folder,
    place: &'static str,
    what: &'static str,
}

impl Kept {
    fn told(&self, name: &str) -> String {
        format!("{} `/{}/{name}`", self.what, self.place)
    }
}

/// The files that are kept for this name; a folder that has two paths is looked at once.
fn kept(prefix: &Path, name: &str) -> Vec<Kept> {
    let mut found: Vec<Kept> = Vec::new();
    for (place, what) in BY_NAME {
        let Some(folder) = Folder::open(prefix, Path::new(place)) else {
            continue;
        };
        let is_file = folder
            .stat(name)
            .is_some_and(|found| found.st_mode & FILE_TYPE == REGULAR);
        if is_file && !found.iter().any(|other| other.folder.is(&folder)) {
            found.push(Kept {
                folder,
                place,
                what,
            });
        }
    }
    found
}

/// Refuses a name for which the host keeps something, although nobody has it: whoever takes it
/// would get that as well.
pub(super) fn inherits_nothing(prefix: &Path, name: &str) -> Result<(), Failure> {
    let mut left: Vec<_> = kept(prefix, name)
        .iter()
        .map(|kept| kept.told(name))
        .collect();
    left.extend(rights::of_account(prefix, name).map_err(|unread| rights::unknown(&unread))?);
    if left.is_empty() {
        return Ok(());
    }
    Err(Failure::rejected(format!(
        "the host keeps something for an account `{name}`, although there is none: {}. A new account of that name would get it: remove it first, or choose another name",
        left.join(", ")
    )))
}

/// Gives what is kept by name another name. Where one of them cannot follow, those before have.
pub(super) fn rename(prefix: &Path, name: &str, new_name: &str) -> Result<(), String> {
    for kept in kept(prefix, name) {
        let renamed = kept.folder.rename(name, new_name);
        renamed.map_err(|error| format!("{} kept its name: {error}", kept.told(name)))?;
    }
    Ok(())
}

/// Removes what is kept for an account that is gone: all that would still act for it. What stays
/// is named.
pub(super) fn remove(prefix: &Path, name: &str, uid: Option<u32>) -> Vec<String> {
    let mut stays = Vec::new();
    for kept in kept(prefix, name) {
        if kept.what == MAIL {
            stays.push(format!("{} was left", kept.told(name)));
        } else if let Err(error) = kept.folder.remove(name) {
            stays.push(format!("{} was left: {error}", kept.told(name)));
        }
    }
    for (place, folder, file) in uid.map(|uid| jobs(prefix, uid)).unwrap_or_default() {
        if let Err(error) = folder.remove(&file) {
            stays.push(format!("the job `/{place}/{file}` was left: {error}"));
        }
    }
    match rights::of_account(prefix, name) {
        Ok(rights) => stays.extend(rights.iter().map(|rights| format!("{rights}, were left"))),
        Err(unread) => stays.push(format!(
            "rights may be left that nobody can see, for {unread}"
        )),
    }
    stays
}

fn jobs(prefix: &Path, uid: u32) -> Vec<(&'static str, Folder, String)> {
    let mut found = Vec::new();
    for place in JOBS {
        let Some(folder) = Folder::open(prefix, Path::new(place)) else {
            continue;
        };
        for file in folder.names() {
            let is_its = folder
                .stat(&file)
                .is_some_and(|found| found.st_uid == uid && found.st_mode & FILE_TYPE == REGULAR);
            if let (true, Some(folder)) = (is_its, Folder::open(prefix, Path::new(place))) {
                found.push((place, folder, file));
            }
        }
    }
    found
}

/// Something that belongs to a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) what: String,
}

/// What on the host belongs to numbers that no account has: left homes, mail and jobs, and
/// processes.
pub(super) fn ownerless(prefix: &Path, home_base: &Path, database: &Database) -> Vec<Owned> {
    let uids: HashSet<u32> = database.accounts.iter().map(|a| a.uid).collect();
    let named: HashSet<&str> = database
        .accounts
        .iter()
        .flat_map(|account| [Some(account.name.as_str()), account.home.rsplit('/').next()])
        .flatten()
        .collect();
    let mut found = Vec::new();
    let base = home_base.strip_prefix("/").unwrap_or(home_base);
    let places = BY_NAME.iter().map(|(place, _)| Path::new(place));
    let places = places.chain(JOBS.iter().map(Path::new)).chain([base]);
    for place in places {
        let Some(folder) = Folder::open(prefix, place) else {
            continue;
        };
        for name in folder.names() {
            // The homes of accounts are many, perhaps on another host, and need not be looked at.
            if place == base && named.contains(name.as_str()) {
                continue;
            }
            if let Some(owner) = folder.stat(&name).filter(|it| !uids.contains(&it.st_uid)) {
                found.push(Owned {
                    uid: owner.st_uid,
                    gid: owner.st_gid,
                    what: format!("`/{}/{name}`", place.display()),
                });
            }
        }
    }
    if prefix == Path::new("/") {
        found.extend(processes().filter(|process| !uids.contains(&process.uid)));
    }
    found
}

/// Numbers that no new account or group is to get, although nobody has them: those of rules that
/// give rights, and the primary groups of accounts that `etc/group` lacks.
pub(super) fn reserved(prefix: &Path, database: &Database) -> Result<Vec<Owned>, Failure> {
    let groups: HashSet<u32> = database.groups.iter().map(|group| group.gid).collect();
    let accounts = database.accounts.iter();
    let without = accounts.filter(|account| !groups.contains(&account.gid));
    let mut found: Vec<Owned> = without
        .map(|account| Owned {
            uid: account.gid,
            gid: account.gid,
            what: format!(
                "the primary group of `{}`, which `etc/group` lacks",
                account.name
            ),
        })
        .collect();
    found.extend(rights::of_numbers(prefix, database)?);
    Ok(found)
}

/// The lowest number that new accounts or groups may get by themselves, where that is not what the
/// programs would choose: one above all that belong to something left over, so that nothing of it
/// is inherited, and none that is reserved. `taken` are those of accounts or groups, `left` those
/// left over.
pub(super) fn floor(
    prefix: &Path,
    kind: Numbers,
    taken: impl Iterator<Item = u32>,
    left: impl Iterator<Item = u32>,
    reserved: &[Owned],
) -> Option<String> {
    let range = kind.range(prefix);
    let after = |numbers: &mut dyn Iterator<Item = u32>| {
        let highest = numbers.filter(|number| range.contains(number)).max();
        highest.map_or(*range.start(), |number| number + 1)
    };
    let (mut taken, mut left) = (taken, left);
    let chosen = after(&mut taken);
    let mut floor = chosen.max(after(&mut left));
    let reserved: HashSet<u32> = reserved.iter().map(|it| it.gid).collect();
    while reserved.contains(&floor) {
        floor += 1;
    }
    (floor > chosen).then(|| format!("{}_MIN={floor}", kind.name()))
}

/// The numbers of accounts, or those of groups.
#[derive(Clone, Copy, Debug)]
pub(super) enum Numbers {
    Accounts,
    Groups,
}

impl Numbers {
    const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "UID",
            Self::Groups => "GID",
        }
    }

    /// Those that the programs give, by login.defs(5).
    fn range(self, prefix: &Path) -> std::ops::RangeInclusive<u32> {
        let text = fs::read_to_string(prefix.join("etc/login.defs")).unwrap_or_default();
        let setting = |end: &str, default| {
            let name = format!("{}_{end}", self.name());
            let mut lines = text.lines().map(str::split_whitespace);
            let value = lines.find_map(|mut words| {
                (words.next() == Some(&name)).then(|| words.next()?.parse().ok())
            });
            value.flatten().unwrap_or(default)
        };
        setting("MIN", 1000)..=setting("MAX", 60_000)
    }
}

/// Refuses a number that somebody asks for although something is left over that belongs to it; the
/// account's own home may be.
pub(super) fn check_number(left: &[Owned], uid: u32, home: &str) -> Result<(), Failure> {
    let own = format!("`{home}`");
    let its = left
        .iter()
        .filter(|left| left.uid == uid && left.what != own);
    let its: Vec<&str> = its.map(|left| left.what.as_str()).collect();
    let shown = its.get(..5).unwrap_or(&its).join(", ");
    if its.is_empty() {
        return Ok(());
    }
    let more = match its.len() {
        0..=5 => String::new(),
        many => format!(" and {} more", many - 5),
    };
    Err(Failure::rejected(format!(
        "the uid {uid} is no account's, but something belongs to it that a new account would get: {shown}{more}. Remove that, or choose another uid"
    )))
}

fn processes() -> impl Iterator<Item = Owned> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        let found = entry.metadata().ok()?;
        Some(Owned {
            uid: found.uid(),
            gid: found.gid(),
            what: format!("process {number}"),
        })
    })
}
