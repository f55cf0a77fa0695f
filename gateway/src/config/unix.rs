//! Where the configuration stands on Unix, and who may write it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether the system hands credentials to its services.
pub(super) const HAS_CREDENTIALS: bool = true;
/// Whether the gateway may be in processes.
pub(super) const HAS_WORKERS: bool = true;
/// Group and others may write.
const OTHERS_WRITE: u32 = 0o022;

/// What this file says runs with the gateway's rights: nobody but root and the gateway's own user
/// may write it.
pub(super) fn check(path: &Path) -> Result<(), String> {
    // Where it cannot be looked at, reading it tells why.
    let Ok(found) = path.metadata() else {
        return Ok(());
    };
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user && found.uid() != 0 {
        return Err(format!(
            "it belongs to user {} and decides what the gateway does, here as user {user}: run it as the owner, or `chown {user} {}`",
            found.uid(),
            path.display()
        ));
    }
    if found.is_file() && found.mode() & OTHERS_WRITE != 0 {
        return Err(format!(
            "others may write it (mode {:04o}), and it decides what the gateway does: `chmod go-w {}`",
            found.mode() & 0o7777,
            path.display()
        ));
    }
    Ok(())
}

pub(super) fn default_file() -> PathBuf {
    PathBuf::from("/etc/portcullis/gateway.toml")
}

pub(super) fn default_state_dir() -> PathBuf {
    PathBuf::from("/var/lib/portcullis-gateway")
}
