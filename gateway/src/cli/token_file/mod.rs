//! The file that an enrolment token is carried to this host in.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::path::Path;

use portcullis_host::text;
use zeroize::Zeroizing;

use super::CliError;

/// What stands in it, `limit` bytes at most.
pub(super) fn read(path: &Path, limit: u64) -> Result<Zeroizing<String>, CliError> {
    platform::check(path).map_err(|exposure| CliError::TokenExposed {
        path: path.to_owned(),
        exposure,
    })?;
    text::read_file(path, limit).map_err(|source| CliError::TokenFile {
        path: path.to_owned(),
        source,
    })
}
