//! Whether the disk has room for another entry: where hardly any is free, that is tried.

use std::fs;
use std::io::{self, Write as _};

use portcullis_host::doctor::free_bytes;

use super::location;
use crate::state_dir::StateDir;

/// Bytes free to users without privileges from which on nobody doubts that there is room.
const ENOUGH: u64 = 1 << 20;
/// Bytes that are tried.
const TRIED: usize = 4 << 10;
/// What is tried, beside the journal.
const TRIAL: &str = "journal.room";

/// Whether the disk of a folder is so full that only a try tells whether there is room.
pub(super) fn is_doubtful(folder: &StateDir) -> bool {
    free_bytes(folder.path()).is_some_and(|free| free < ENOUGH)
}

/// Why an entry has no room; `None`: it has, or nobody can tell. A file is made and removed for
/// that, where it is doubtful.
pub(super) fn lacking(folder: &StateDir) -> Option<String> {
    if !is_doubtful(folder) {
        return None;
    }
    let mut file = folder.draft(TRIAL).ok()?;
    let written = file
        .write_all(&[0xa5; TRIED])
        .and_then(|()| file.sync_all());
    drop(file);
    // It has been made, so that the folder can be written.
    let _ = fs::remove_file(folder.path().join(format!("{TRIAL}.new")));
    let error = written.err().filter(is_lack)?;
    Some(text(&location(folder), &error))
}

/// Whether a write failed for want of room.
pub(super) fn is_lack(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// What is said where entries of the journal at `location` have no room.
pub(super) fn text(location: &str, error: &io::Error) -> String {
    format!(
        "the disk has no room for the gateway's journal {location} ({error}): calls that change something are refused; free some space, then try again"
    )
}
