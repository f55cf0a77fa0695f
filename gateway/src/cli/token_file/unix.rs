//! On Unix nobody but the file's owner may read it. Who that is does not matter: root takes a token
//! that an administrator has copied here.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const OTHERS: u32 = 0o077;

pub(super) fn check(path: &Path) -> Result<(), String> {
    // Where it cannot be looked at, reading it tells why. A pipe has no reader but this program.
    match path.metadata() {
        Ok(found) if found.is_file() && found.mode() & OTHERS != 0 => Err(format!(
            "has mode {:04o}, so that other users can read the token: `chmod 0600 {}`",
            found.mode() & 0o7777,
            path.display()
        )),
        _ => Ok(()),
    }
}
