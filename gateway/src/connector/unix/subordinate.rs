//! The ranges of subordinate ids, subuid(5) and subgid(5): they follow a rename and go with the
//! account. usermod does neither: it adds ranges only to names that are there, and takes them only
//! from those. So the files are written here, under the locks of shadow-utils.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, fcntl_lock};
use tokio::time::Instant;

use super::obstacle;
use crate::model::Failure;

const FILES: [&str; 2] = ["etc/subuid", "etc/subgid"];

/// How long to wait before a lock is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// Gives the ranges of one name to another. Blocks.
pub(super) fn rename(
    prefix: &Path,
    name: &str,
    new_name: &str,
    deadline: Instant,
) -> Result<(), Failure> {
    edit(prefix, deadline, |owner| match owner == name {
        true => Some(new_name.to_owned()),
        false => Some(owner.to_owned()),
    })
}

/// Removes the ranges of a name, and of a number where that has no account any more. Blocks.
pub(super) fn remove(
    prefix: &Path,
    name: &str,
    uid: Option<u32>,
    deadline: Instant,
) -> Result<(), Failure> {
    let uid = uid.map(|uid| uid.to_string());
    edit(prefix, deadline, |owner| {
        let is_its = owner == name || Some(owner) == uid.as_deref();
        (!is_its).then(|| owner.to_owned())
    })
}

/// Gives each line the owner that `owner` answers, and removes those for which it answers none.
fn edit(
    prefix: &Path,
    deadline: Instant,
    owner: impl Fn(&str) -> Option<String>,
) -> Result<(), Failure> {
    for file in FILES {
        let path = prefix.join(file);
        let changed = || -> io::Result<Option<Vec<u8>>> {
            let text = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                read => read?,
            };
            let new = with_owners(&text, &owner);
            Ok((new != text).then_some(new))
        };
        let failed = |error: io::Error| {
            Failure::unavailable(format!("{} cannot be changed: {error}", path.display()))
        };
        if changed().map_err(failed)?.is_none() {
            continue;
        }
        let _held = lock(prefix, &path, deadline)?;
        // Under the lock, read again.
        if let Some(new) = changed().map_err(failed)? {
            replace(&path, &new).map_err(failed)?;
        }
    }
    Ok(())
}

fn with_owners(text: &[u8], owner: impl Fn(&str) -> Option<String>) -> Vec<u8> {
    let mut new = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let end = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let (before, rest) = line.split_at(end);
        match std::str::from_utf8(before) {
            Ok(before) if !before.is_empty() => {
                if let Some(owner) = owner(before) {
                    new.extend_from_slice(owner.as_bytes());
                    new.extend_from_slice(rest);
                }
            }
            _ => new.extend_from_slice(line),
        }
    }
    new
}

/// Puts a new file in the place of another, with its owner and mode.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let before = path.metadata()?;
    let new = path.with_extension("portcullis");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text)?;
    fchown(&file, Some(before.uid()), Some(before.gid()))?;
    file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o7777))?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Both locks of shadow-utils: that of lckpwdf(3) over all account files, and the file's own.
struct Held {
    _all: File,
    own: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        // What stays is taken away by the next program: its process runs no more by then.
        let _ = fs::remove_file(&self.own);
    }
}

fn lock(prefix: &Path, path: &Path, deadline: Instant) -> Result<Held, Failure> {
    loop {
        let error = match try_lock(prefix, path) {
            Ok(held) => return Ok(held),
            Err(error) => error,
        };
        let is_held = matches!(
            error.kind(),
            io::ErrorKind::WouldBlock
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::PermissionDenied
        );
        if !is_held || Instant::now() + PAUSE > deadline {
            return Err(obstacle::find(prefix).unwrap_or_else(|| {
                Failure::unavailable(format!("{} cannot be locked: {error}", path.display()))
            }));
        }
        #[allow(
            clippy::disallowed_methods,
            reason = "nothing tells when a lock of shadow-utils is free"
        )]
        std::thread::sleep(PAUSE);
    }
}

fn try_lock(prefix: &Path, path: &Path) -> io::Result<Held> {
    let all = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(prefix.join("etc/.pwd.lock"))?;
    fcntl_lock(&all, FlockOperation::NonBlockingLockExclusive)?;
    let own = path.with_extension("lock");
    let pid = std::process::id();
    let mine = path.with_extension(pid.to_string());
    fs::write(&mine, format!("{pid}\0"))?;
    let linked = fs::hard_link(&mine, &own);
    let _ = fs::remove_file(&mine);
    if let Err(error) = linked {
        // One of this process is of a gateway before it that had the same number: within one,
        // changes of a root go one after the other.
        let is_ours = || fs::read(&own).is_ok_and(|text| text == format!("{pid}\0").into_bytes());
        if error.kind() == io::ErrorKind::AlreadyExists && (obstacle::is_stale(&own) || is_ours()) {
            fs::remove_file(&own)?;
        }
        return Err(error);
    }
    Ok(Held { _all: all, own })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(subuid: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(folder.path().join("etc/subuid"), subuid).unwrap();
        folder
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(100)
    }

    #[test]
    fn only_the_owner_of_a_range_changes_and_every_other_byte_stays() {
        let folder = site(b"# ada:1:2\nada:100000:65536\n\nadam:1:2\nx\xe9\n1000:5:6\nada:7:8");
        let file = folder.path().join("etc/subuid");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        rename(folder.path(), "ada", "countess", soon()).unwrap();
        assert_eq!(
            fs::read(&file).unwrap(),
            b"# ada:1:2\ncountess:100000:65536\n\nadam:1:2\nx\xe9\n1000:5:6\ncountess:7:8"
        );
        remove(folder.path(), "countess", Some(1000), soon()).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"# ada:1:2\n\nadam:1:2\nx\xe9\n");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o640);
        let mut names: Vec<_> = fs::read_dir(folder.path().join("etc"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [".pwd.lock", "subuid"]);
    }

    #[test]
    fn a_lock_that_is_held_is_waited_for_and_a_stale_one_is_not() {
        let folder = site(b"ada:1:2\n");
        let lock = folder.path().join("etc/subuid.lock");
        fs::write(&lock, "1").unwrap();
        let failure = rename(folder.path(), "ada", "bob", soon()).unwrap_err();
        assert!(failure.message.contains("process 1"), "{failure:?}");
        fs::write(&lock, "2147483647\0").unwrap();
        rename(folder.path(), "ada", "bob", soon()).unwrap();
        assert!(!lock.exists());
    }
}
