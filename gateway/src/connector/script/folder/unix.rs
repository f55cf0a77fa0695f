//! Ownership and permissions of scripts, by owner and mode.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Start, Unfit, first_line};
use crate::config::Section;

/// Nothing is needed here: the kernel starts a script by its first line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interpreter;

impl Interpreter {
    pub(super) fn configure(_: &mut Section<'_>) -> Self {
        Self
    }

    /// What the file's name says that it does.
    pub(super) fn stem(&self, file: &Path) -> Option<String> {
        file.file_name()?.to_str().map(str::to_owned)
    }

    pub(super) fn start(&self, script: &Path) -> Start {
        Start {
            script: script.to_owned(),
            program: script.to_owned(),
            arguments: Vec::new(),
        }
    }

    /// What keeps a script from starting, in words that follow its path.
    pub(super) fn obstacle(&self, script: &Path, search_path: &OsStr) -> Option<String> {
        first_line::obstacle(script, search_path)
    }
}

/// What every script's environment holds, before that of the configuration.
pub(crate) fn base_environment() -> Vec<(&'static str, OsString)> {
    vec![
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        ),
        ("LC_ALL", "C.UTF-8".into()),
    ]
}

/// Nobody but root and the gateway's own user may be able to put anything into the folder or in its
/// place.
pub(super) fn check_folder(folder: &Path) -> Result<(), Unfit> {
    let found = metadata(folder)?;
    if !found.is_dir() {
        return Err(Unfit::not_safe(folder, "is no folder"));
    }
    check_owner_and_mode(folder, &found)?;
    for above in folder.ancestors().skip(1) {
        let found = metadata(above)?;
        let is_sticky = found.mode() & 0o1000 != 0;
        if found.mode() & 0o022 != 0 && !is_sticky {
            return Err(Unfit::not_safe(
                above,
                "can be written by others than its owner, who could put another folder in the place of the scripts': `chmod go-w` it",
            ));
        }
        // In a user namespace the host's own folders seem to belong to nobody.
        if !is_ours(&found) && !is_unmapped(&found) {
            return Err(Unfit::not_safe(
                above,
                "belongs neither to root nor to the gateway's user, and the scripts lie in it: move them",
            ));
        }
    }
    Ok(())
}

/// Nobody but root and the gateway's own user may be able to change the script.
pub(super) fn check_file(file: &Path) -> Result<(), Unfit> {
    let found = metadata(file)?;
    if !found.is_file() {
        return Err(Unfit::not_safe(file, "is no regular file"));
    }
    check_owner_and_mode(file, &found)
}

fn check_owner_and_mode(path: &Path, found: &Metadata) -> Result<(), Unfit> {
    if !is_ours(found) {
        return Err(Unfit::not_safe(
            path,
            format!(
                "belongs to the user with the id {}: it has to belong to root or to the gateway's own user; `chown` it",
                found.uid()
            ),
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(Unfit::not_safe(
            path,
            "can be written by others than its owner: `chmod go-w` it",
        ));
    }
    Ok(())
}

fn is_ours(found: &Metadata) -> bool {
    found.uid() == 0 || found.uid() == rustix::process::geteuid().as_raw()
}

/// Whether the owner has no id in this user namespace. On the host itself every owner has one.
fn is_unmapped(found: &Metadata) -> bool {
    let number = |path: &str| {
        let text = fs::read_to_string(path).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let maps_everything = fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]));
    !maps_everything && number("/proc/sys/kernel/overflowuid") == Some(found.uid())
}

fn metadata(path: &Path) -> Result<Metadata, Unfit> {
    fs::symlink_metadata(path).map_err(|error| Unfit::unreadable(path, error))
}
