//! Hashes of the host's crypt(3) on Unix.

use crate::host_crypt::HostCrypt;

/// Whether a password has this hash, by the host's crypt(3); `None`: it does not know the scheme.
pub(super) fn fits(password: &[u8], hash: &str) -> Option<bool> {
    if !hash.starts_with('$') {
        return None;
    }
    HostCrypt::load()?.fits(password, hash)
}
