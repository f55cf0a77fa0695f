//! As POSIX has it: `statvfs`.

use std::path::Path;

/// What users without privileges may still write.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}
