//! On Unix it is the gateway's own, with mode 0600 or stricter.

use std::io;
use std::path::Path;

use portcullis_host::private_files;
use zeroize::Zeroizing;

pub(super) fn check(path: &Path) -> Result<(), String> {
    private_files::check_private(path).map_err(|error| error.to_string())
}

pub(super) fn read(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    private_files::read_bounded(path, longest)
}
