//! On Windows nobody but SYSTEM, Administrators and the gateway's user has any right to it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::access_list::{self, Forbidden};

pub(super) fn check_for_owner_of(_: &Path, path: &Path) -> Result<(), String> {
    check(path)
}

pub(super) fn check(path: &Path) -> Result<(), String> {
    access_list::check(path, Forbidden::Anything).map_err(|error| error.to_string())
}

pub(super) fn read(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(longest + 1));
    let most = u64::try_from(longest).unwrap_or(u64::MAX);
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
