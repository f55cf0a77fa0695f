//! What keeps the account files from being changed: a file system that cannot be written, or a lock
//! that somebody holds.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk, test_kill_process};

use super::policy::Policy;
use super::tools::Tools;
use crate::connector::Inspection;
use crate::model::{Failure, FailureKind};

/// Files that a program of shadow-utils locks by another of this name and `.lock`, and then opens
/// to write.
const LOCKED: [&str; 6] = ["passwd", "shadow", "group", "gshadow", "subuid", "subgid"];

/// What is in the way of a change of the account files under `prefix`, if anything is.
pub(super) fn find(prefix: &Path) -> Option<Failure> {
    not_writable(prefix).or_else(|| locked(prefix))
}

/// What calls would meet, whoever holds a lock at the moment.
pub(super) fn inspect(policy: &Policy, tools: &Tools, changes: bool) -> Inspection {
    let prefix = &policy.prefix;
    let mut faults: Vec<String> = Vec::new();
    for file in ["etc/passwd", "etc/group"] {
        let path = prefix.join(file);
        if let Err(error) = File::open(&path) {
            faults.push(format!("{} cannot be read: {error}", path.display()));
        }
    }
    // One cause is told once.
    if !prefix.is_dir() {
        faults = vec![format!(
            "{} is no folder: see `prefix` in the configuration",
            prefix.display()
        )];
    }
    let mut notes = Vec::new();
    if changes && faults.is_empty() {
        let found = [
            not_installed(tools),
            policy
                .check_privilege()
                .err()
                .map(|failure| failure.message),
            not_writable(prefix).map(|failure| failure.message),
        ];
        faults.extend(found.into_iter().flatten());
        let base = home_base(policy);
        if policy.create_home && !base.is_dir() {
            notes.push(format!(
                "{} is no folder: new accounts get their homes there (see `home_base`)",
                base.display()
            ));
        }
        faults.extend(of_homes(policy).map(|failure| failure.message));
    }
    Inspection { faults, notes }
}

/// The programs that are missing.
pub(super) fn not_installed(tools: &Tools) -> Option<String> {
    let missing = tools.missing();
    let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| {
        format!(
            "not installed: {}; install shadow-utils (Debian and Ubuntu: the package `passwd`)",
            names.join(", ")
        )
    })
}

/// Why `etc`, or a file of accounts in it, cannot be written, if it cannot.
pub(super) fn not_writable(prefix: &Path) -> Option<Failure> {
    let etc = prefix.join("etc");
    let is_read_only =
        statvfs(&etc).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
    if is_read_only {
        return Some(Failure::rejected(format!(
            "{} lies on a file system that is mounted read-only: no account can be changed before it is mounted writable",
            etc.display()
        )));
    }
    if let Some(failure) = folder_not_writable(&etc) {
        return Some(failure);
    }
    LOCKED.iter().find_map(|name| immutable(&etc.join(name)))
}

/// Why no home can be made in the folder of homes where new accounts are to get one, if none can.
pub(super) fn of_homes(policy: &Policy) -> Option<Failure> {
    let base = home_base(policy);
    if !policy.create_home || !base.is_dir() {
        return None;
    }
    folder_not_writable(&base).map(|failure| {
        Failure::rejected(format!(
            "{}; new accounts get their homes there (see `home_base` and `create_home`)",
            failure.message
        ))
    })
}

/// The folder of homes, under the prefix.
fn home_base(policy: &Policy) -> PathBuf {
    let base = &policy.home_base;
    policy.prefix.join(base.strip_prefix("/").unwrap_or(base))
}

/// Why nothing can be made in a folder, if nothing can: also where it is marked as immutable, which
/// holds for root too (access(2), EPERM).
fn folder_not_writable(folder: &Path) -> Option<Failure> {
    let error = access(folder, Access::WRITE_OK | Access::EXEC_OK).err()?;
    let look = match error {
        Errno::PERM => "; `lsattr -d` shows whether it is marked as immutable",
        _ => "",
    };
    Some(Failure::rejected(format!(
        "{} cannot be written: {}{look}",
        folder.display(),
        io::Error::from(error)
    )))
}

/// Why a file that is there cannot be opened to write: a mark such as that of `chattr +i`, which
/// holds for root too, or a mount of its own.
fn immutable(file: &Path) -> Option<Failure> {
    let error = File::options().write(true).open(file).err()?;
    (error.kind() != io::ErrorKind::NotFound).then(|| {
        Failure::rejected(format!(
            "{} cannot be written: {error}; `lsattr` shows whether it is marked as immutable, `findmnt` whether it is a mount of its own",
            file.display()
        ))
    })
}

fn locked(prefix: &Path) -> Option<Failure> {
    let etc = prefix.join("etc");
    let files = LOCKED.iter().map(|name| etc.join(format!("{name}.lock")));
    let found: Vec<_> = files.filter_map(|file| lock_file(&file)).collect();
    all_of(found).or_else(|| {
        let file = etc.join(".pwd.lock");
        let holder = holder(&file)?;
        Some(Failure::unavailable(format!(
            "{} holds {}: wait until it has ended, or end it",
            process(holder),
            file.display()
        )))
    })
}

/// One failure that names all of these: whichever of them a program met, it is among them. Where
/// one needs somebody's hand, waiting does not help.
fn all_of(found: Vec<Failure>) -> Option<Failure> {
    let messages: Vec<_> = found.iter().map(|one| one.message.as_str()).collect();
    let message = messages.join("; ");
    let by_hand = found.iter().any(|one| one.kind == FailureKind::Rejected);
    match (found.is_empty(), by_hand) {
        (true, _) => None,
        (false, true) => Some(Failure::rejected(message)),
        (false, false) => Some(Failure::unavailable(message)),
    }
}

/// Whether a lock file is of a process that runs no more.
pub(super) fn is_stale(file: &Path) -> bool {
    matches!(owner(file), Some(Some(pid)) if !runs(pid))
}

fn runs(pid: Pid) -> bool {
    test_kill_process(pid) != Err(Errno::SRCH)
}

/// The process that a lock file names; inside, `None` where it names none.
fn owner(file: &Path) -> Option<Option<Pid>> {
    let text = fs::read(file).ok()?;
    let pid = String::from_utf8_lossy(&text);
    let pid = pid.trim_end_matches('\0').parse().ok();
    Some(pid.filter(|number| *number > 0).and_then(Pid::from_raw))
}

/// What a lock file that is there says. One of a process that runs no more is taken away by the
/// next program of shadow-utils, one without a number by nobody.
fn lock_file(file: &Path) -> Option<Failure> {
    let shown = file.display();
    match owner(file)? {
        None => Some(Failure::rejected(format!(
            "{shown} is there{} and names no process, so that no program takes it away: if nobody changes accounts now, remove it",
            since(file)
        ))),
        Some(pid) if runs(pid) => Some(Failure::unavailable(format!(
            "{shown} is there{}, of {}: wait until that has ended",
            since(file),
            process(pid)
        ))),
        Some(_) => None,
    }
}

/// Who holds the lock of lckpwdf(3).
fn holder(file: &Path) -> Option<Pid> {
    // For a lock to write, the file has to be open for that.
    let file = File::options().write(true).open(file).ok()?;
    let wanted = Flock::from(FlockType::WriteLock);
    fcntl_getlk(&file, &wanted).ok()??.pid
}

fn process(pid: Pid) -> String {
    let number = pid.as_raw_nonzero();
    let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
    match crate::connector::process::printable(name.as_bytes()).as_str() {
        "" => format!("process {number}"),
        name => format!("process {number} ({name})"),
    }
}

fn since(file: &Path) -> String {
    let modified = file.metadata().and_then(|found| found.modified());
    let age = modified.ok().and_then(|time| time.elapsed().ok());
    age.map_or_else(String::new, |age| {
        format!(" since {} seconds", age.as_secs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_told_with_its_holder_and_a_stale_one_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc");
        fs::create_dir(&etc).unwrap();
        assert_eq!(find(folder.path()), None);
        for (name, content, kind, said) in [
            ("group.lock", "", FailureKind::Rejected, "remove it"),
            ("group.lock", "soon", FailureKind::Rejected, "remove it"),
            ("subuid.lock", "-1", FailureKind::Rejected, "remove it"),
            ("passwd.lock", "1", FailureKind::Unavailable, "process 1"),
            ("gshadow.lock", "1\0", FailureKind::Unavailable, "process 1"),
        ] {
            let file = etc.join(name);
            fs::write(&file, content).unwrap();
            let found = find(folder.path()).unwrap();
            assert_eq!(found.kind, kind, "{}", found.message);
            assert!(found.message.contains(said), "{}", found.message);
            assert!(found.message.contains(name), "{}", found.message);
            fs::remove_file(&file).unwrap();
        }
        // No process has a number as high.
        fs::write(etc.join("shadow.lock"), "2147483647").unwrap();
        assert_eq!(find(folder.path()), None);
        // Of several, all are named: a program met one of them.
        for (name, content) in [
            ("passwd.lock", "1"),
            ("group.lock", ""),
            ("subgid.lock", ""),
        ] {
            fs::write(etc.join(name), content).unwrap();
        }
        let found = find(folder.path()).unwrap();
        assert_eq!(found.kind, FailureKind::Rejected);
        let said = found.message;
        let named = ["passwd.lock", "group.lock", "subgid.lock"];
        assert!(named.iter().all(|name| said.contains(name)), "{said}");
        assert!(!said.contains("shadow.lock"), "{said}");
    }

    #[test]
    fn a_folder_of_homes_and_an_account_file_that_are_immutable_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (etc, homes) = (folder.path().join("etc"), folder.path().join("home"));
        fs::create_dir(&etc).unwrap();
        fs::create_dir(&homes).unwrap();
        let subgid = etc.join("subgid");
        fs::write(&subgid, "").unwrap();
        let policy = Policy::new("local", folder.path());
        assert_eq!(of_homes(&policy), None);
        let mark = |sign: &str, path: &Path| {
            let done = std::process::Command::new("chattr")
                .arg(sign)
                .arg(path)
                .output();
            done.is_ok_and(|done| done.status.success())
        };
        if !mark("+i", &homes) {
            eprintln!("skipped: files cannot be marked as immutable here");
            return;
        }
        let no_homes = of_homes(&policy);
        mark("-i", &homes);
        let marked = mark("+i", &subgid);
        let no_file = not_writable(folder.path());
        mark("-i", &subgid);
        assert!(marked);
        for (found, path) in [(no_homes, &homes), (no_file, &subgid)] {
            let said = found.unwrap().message;
            assert!(said.contains(path.to_str().unwrap()), "{said}");
            assert!(said.contains("lsattr"), "{said}");
        }
    }

    #[test]
    fn a_missing_etc_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let found = find(folder.path()).unwrap();
        assert!(found.message.contains("cannot be written"), "{found:?}");
    }
}
