//! Folders that take long to make: made once, kept below cargo's target folder, copied by each
//! test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_tests::harness::{OrFail as _, run};

/// A tree that is looked for.
#[derive(Debug)]
pub(crate) enum Kept {
    /// It is there.
    Made(PathBuf),
    /// It has to be made. Nobody else makes it meanwhile.
    ToMake(Place),
}

/// Where a tree is to be kept.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    /// Held until the tree is there.
    _lock: File,
}

impl Place {
    /// Keeps a copy of this folder.
    pub(crate) fn keep(self, folder: &Path) -> PathBuf {
        let new = self.path.with_extension("new");
        // Of a run that was ended in the middle of it.
        let _ = fs::remove_dir_all(&new);
        copy(folder, &new);
        fs::rename(&new, &self.path).or_fail(self.path.display());
        self.path
    }
}

/// Looks for the tree of this name, and waits for who makes it. The name says all that the tree
/// depends on, such as a version.
pub(crate) fn find(name: &str) -> Kept {
    let programs = std::env::current_exe().or_fail("the path of this program");
    let folder = programs
        .ancestors()
        .nth(2)
        .or_fail("folder of this program");
    let folder = folder.join("directories");
    fs::create_dir_all(&folder).or_fail(folder.display());
    let lock = File::create(folder.join(format!("{name}.lock"))).or_fail("a lock for a tree");
    lock.lock().or_fail("lock a tree");
    let path = folder.join(name);
    match path.exists() {
        true => Kept::Made(path),
        false => Kept::ToMake(Place { path, _lock: lock }),
    }
}

/// The tree of this name, made by `make` where no run before has.
pub(crate) fn tree(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    match find(name) {
        Kept::Made(path) => path,
        Kept::ToMake(place) => {
            let made = tempfile::tempdir().or_fail("make a temporary folder");
            make(made.path());
            place.keep(made.path())
        }
    }
}

/// Copies a folder with owners and modes to a path where nothing is.
pub(crate) fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=auto"]).arg(from).arg(to);
    run(command);
}
