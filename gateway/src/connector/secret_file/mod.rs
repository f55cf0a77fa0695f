//! The file with the password by which the gateway itself is known at a target.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::path::Path;

use zeroize::Zeroizing;

use crate::model::Password;

/// All of a file that only the gateway's user can read, of at most so many bytes.
///
/// # Errors
/// What is wrong with the file, in words.
pub(crate) fn read_whole(path: &Path, longest: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    platform::check(path)?;
    platform::read(path, longest)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// The same of the user whose `folder` is, as whom the gateway runs where root looks.
///
/// # Errors
/// What is wrong with the file, in words.
pub(crate) fn read_for_owner_of(
    folder: &Path,
    path: &Path,
    longest: usize,
) -> Result<Zeroizing<Vec<u8>>, String> {
    platform::check_for_owner_of(folder, path)?;
    platform::read(path, longest)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// The first line of a file that only the gateway's user can read.
///
/// # Errors
/// What is wrong with the file, in words.
pub(crate) fn read(path: &Path) -> Result<Password, String> {
    read_by(None, path)
}

/// The same of the user whose this folder is, as whom the gateway runs where root looks; `None`: of
/// this process's.
///
/// # Errors
/// What is wrong with the file, in words.
pub(crate) fn read_by(owner_of: Option<&Path>, path: &Path) -> Result<Password, String> {
    match owner_of {
        Some(folder) => platform::check_for_owner_of(folder, path)?,
        None => platform::check(path)?,
    }
    let bytes = platform::read(path, Password::MAX_LEN + 2)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next();
    Password::new(line.unwrap_or_default().to_vec()).ok_or_else(|| {
        format!(
            "the first line of {} is empty or has more than {} bytes: it is to be the password",
            path.display(),
            Password::MAX_LEN
        )
    })
}
