//! Folders that take long to make: made once, kept below cargo's target folder, copied by each
//! test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_tests::harness::{OrFail as _, run};

/// The tree of this name, made by `make` where no run before has. The name says all that the tree
/// depends on, such as a version.
pub(crate) fn tree(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let programs = std::env::current_exe().or_fail("the path of this program");
    let folder = programs
        .ancestors()
        .nth(2)
        .or_fail("folder of this program");
    let folder = folder.join("directories");
    fs::create_dir_all(&folder).or_fail(folder.display());
    let lock = File::create(folder.join("lock")).or_fail("a lock for the trees");
    lock.lock().or_fail("lock the trees");
    let kept = folder.join(name);
    if !kept.exists() {
        let made = tempfile::tempdir().or_fail("make a temporary folder");
        let new = folder.join("new");
        let _ = fs::remove_dir_all(&new);
        make(made.path());
        copy(made.path(), &new);
        fs::rename(&new, &kept).or_fail(kept.display());
    }
    kept
}

/// Copies a folder with owners and modes to a path where nothing is.
pub(crate) fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=auto"]).arg(from).arg(to);
    run(command);
}
