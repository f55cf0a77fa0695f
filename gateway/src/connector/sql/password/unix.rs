//! The file of the password on Unix: the gateway's own, with mode 0600 or stricter.

use std::io;
use std::path::Path;

use portcullis_host::private_files;
use zeroize::Zeroizing;

use crate::host_crypt::HostCrypt;

pub(super) fn check(path: &Path) -> Result<(), String> {
    private_files::check_private(path).map_err(|error| error.to_string())
}

pub(super) fn read(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    private_files::read_bounded(path, longest)
}

/// Whether a password has this hash, by the host's crypt(3); `None`: it does not know the scheme.
pub(super) fn fits(password: &[u8], hash: &str) -> Option<bool> {
    if !hash.starts_with('$') {
        return None;
    }
    HostCrypt::load()?.fits(password, hash)
}
