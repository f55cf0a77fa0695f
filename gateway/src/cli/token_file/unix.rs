//! On Unix nobody but the user who enrols may read it, or own it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use portcullis_host::private_files::{Exposure, exposure};

pub(super) fn check(path: &Path) -> Result<(), String> {
    // Where it cannot be looked at, reading it tells why. A pipe has no reader but this program.
    let Some(found) = path.metadata().ok().filter(std::fs::Metadata::is_file) else {
        return Ok(());
    };
    let shown = path.display();
    match exposure(found.uid(), found.mode()) {
        None => Ok(()),
        Some(Exposure::Owner { owner, user }) => Err(format!(
            "belongs to user {owner}, who can read the token, and this is user {user}: `chown {user} {shown}`"
        )),
        Some(Exposure::Mode { mode } | Exposure::Shared { mode }) => Err(format!(
            "has mode {mode:04o}, so that other users can read the token: `chmod 0600 {shown}`"
        )),
    }
}
