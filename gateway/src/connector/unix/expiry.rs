//! Remembers the expiry days of disabled accounts.
//!
//! To disable an account sets its expiry day, because a locked password alone leaves SSH keys
//! working. The day that it had before stands in `etc/portcullis-expiry` under the prefix, as
//! `uid:name:day`, until the account is enabled: without it, to disable and enable an account would
//! make one that was to expire live for ever.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::database::Account;
use super::files;
use super::obstacle;
use crate::model::Failure;

/// The expiry days of disabled accounts, by uid and name: an account of the same uid under another
/// name is another one unless it was renamed here.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    file: PathBuf,
    days: BTreeMap<u32, (String, i64)>,
}

impl Remembered {
    /// Reads the file; where there is none, nothing is remembered.
    pub(super) fn load(prefix: &Path) -> Result<Self, Failure> {
        let file = prefix.join(files::EXPIRY);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(Failure::unavailable(format!(
                    "{} cannot be read: {error}",
                    file.display()
                )));
            }
        };
        Ok(Self {
            file,
            days: text.lines().filter_map(parse).collect(),
        })
    }

    /// The day remembered for an account.
    pub(super) fn day(&self, account: &Account) -> Option<i64> {
        self.days
            .get(&account.uid)
            .filter(|(name, _)| *name == account.name)
            .map(|&(_, day)| day)
    }

    /// Remembers a day, or with `None` forgets it, durably.
    pub(super) fn set(&mut self, uid: u32, name: &str, day: Option<i64>) -> Result<(), Failure> {
        let before = self.days.clone();
        match day {
            Some(day) => self.days.insert(uid, (name.to_owned(), day)),
            None => self.days.remove(&uid),
        };
        if self.days == before {
            return Ok(());
        }
        self.store().map_err(|error| {
            let etc = self.file.parent().unwrap_or(Path::new("/"));
            let cause = obstacle::not_writable(etc.parent().unwrap_or(etc));
            cause.unwrap_or_else(|| {
                Failure::unavailable(format!(
                    "{} cannot be written: {error}; nothing was begun",
                    self.file.display()
                ))
            })
        })
    }

    fn store(&self) -> io::Result<()> {
        let new = self.file.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        for (uid, (name, day)) in &self.days {
            writeln!(file, "{uid}:{name}:{day}")?;
        }
        file.sync_all()?;
        fs::rename(&new, &self.file)?;
        match self.file.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

fn parse(line: &str) -> Option<(u32, (String, i64))> {
    let mut fields = line.split(':');
    let (uid, name, day) = (fields.next()?, fields.next()?, fields.next()?);
    Some((uid.parse().ok()?, (name.to_owned(), day.parse().ok()?)))
}
