//! On Windows nobody but the file's owner, SYSTEM and Administrators may read it. Who the owner is
//! does not matter: an installer takes, as SYSTEM, a token that an administrator has copied here.

use std::path::Path;

use crate::access_list;

pub(super) fn check(path: &Path) -> Result<(), String> {
    // Where there is none, reading it tells so.
    if !path.exists() {
        return Ok(());
    }
    access_list::check_readers(path).map_err(|error| error.to_string())
}
