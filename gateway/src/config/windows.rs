//! Where the configuration stands on Windows, and who may write it.

use std::path::{Path, PathBuf};

use crate::access_list::{self, Forbidden};

/// Whether the system hands credentials to its services.
pub(super) const HAS_CREDENTIALS: bool = false;
/// Whether the gateway may be in processes.
pub(super) const HAS_WORKERS: bool = false;

/// Any user of the host may make files below `%ProgramData%`: none of theirs may say what the
/// gateway runs.
pub(super) fn check(path: &Path) -> Result<(), String> {
    if !path.exists() {
        return Ok(());
    }
    access_list::check(path, Forbidden::Writing).map_err(|error| error.to_string())
}

pub(super) fn default_file() -> PathBuf {
    program_data().join("gateway.toml")
}

pub(super) fn default_state_dir() -> PathBuf {
    program_data().join("gateway")
}

fn program_data() -> PathBuf {
    std::env::var_os("ProgramData")
        .map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from)
        .join("Portcullis")
}
