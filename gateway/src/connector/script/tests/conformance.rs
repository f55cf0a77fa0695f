//! A folder of scripts for the conformance suite: one sample that carries out every verb.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::site::{Site, skipped};

const SAMPLE: &str = include_str!("sample.py");

const TASKS: [&str; 13] = [
    "test",
    "schema",
    "create",
    "get",
    "update",
    "delete",
    "enable",
    "disable",
    "set-password",
    "authenticate",
    "rename",
    "search",
    "run-count",
];

/// A folder of its own, or `None` where the sample cannot run.
fn site() -> Option<Site> {
    if !fs::exists("/usr/bin/python3").unwrap() {
        return skipped("the sample script needs /usr/bin/python3");
    }
    let folder = tempfile::tempdir().unwrap();
    let sample = folder.path().join("sample");
    fs::write(&sample, SAMPLE).unwrap();
    for path in [folder.path(), &sample] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for task in TASKS {
        symlink(&sample, folder.path().join(task)).unwrap();
    }
    let section = format!(
        "type = \"script\"\nfolder = \"{}\"",
        folder.path().display()
    );
    Some(Site {
        _kept: Box::new(folder),
        section,
        free_text: "full_name",
        action: Some("count"),
    })
}

conforms!(site);
