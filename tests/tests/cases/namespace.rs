//! A mount namespace of a test's own, where it may mount what it likes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

const WITHIN: &str = "PORTCULLIS_TEST_NAMESPACE";

/// Whether this runs in such a namespace. Outside, the test of this name is run again inside, and
/// has passed when this answers.
pub(crate) fn is_inside(test: &str) -> bool {
    if std::env::var_os(WITHIN).is_some() {
        return true;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may mount");
        return false;
    }
    let unshare = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command.arg(program);
        command
    };
    let may = unshare(Path::new("true")).output();
    if !may.is_ok_and(|ran| ran.status.success()) {
        eprintln!("skipped: no mount namespace may be made here");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let ran = unshare(&program)
        .args(["--exact", test, "--nocapture"])
        .env(WITHIN, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Runs `mount`.
#[track_caller]
pub(crate) fn mount(arguments: &[&str], at: &Path) {
    let status = Command::new("mount").args(arguments).arg(at).status();
    assert!(status.unwrap().success(), "mount {arguments:?} {at:?}");
}

/// Puts a copy of its own in the place of a folder of the host.
#[track_caller]
pub(crate) fn copy_over(folder: &Path, copy: &Path) {
    let copied = Command::new("cp").arg("-a").args([folder, copy]).status();
    assert!(copied.unwrap().success(), "{folder:?}");
    mount(&["--bind", &copy.display().to_string()], folder);
    let id = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino()));
    assert_eq!(id(folder).unwrap(), id(copy).unwrap(), "{folder:?}");
}
