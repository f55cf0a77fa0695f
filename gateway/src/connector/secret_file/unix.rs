//! On Unix it is the gateway's own, with mode 0600 or stricter, or a credential of its service.

use std::io;
use std::path::Path;

use portcullis_host::private_files;
use zeroize::Zeroizing;

/// Below it systemd lays the credentials of each unit.
const CREDENTIALS: &str = "/run/credentials";

pub(super) fn check(path: &Path) -> Result<(), String> {
    // systemd vouches for who may read it, by means that its mode does not show.
    if path.starts_with(CREDENTIALS) {
        return Ok(());
    }
    private_files::check_private(path).map_err(|error| error.to_string())
}

pub(super) fn read(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    private_files::read_bounded(path, longest)
}
