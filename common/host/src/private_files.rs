//! Files that only their owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a file or folder that has to be private is not.
#[derive(Debug, thiserror::Error)]
pub enum PermissionError {
    /// It cannot be looked at.
    #[error("cannot look at {path}: {source}", path = path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It belongs to another user.
    #[error(
        "{path} belongs to user {owner}, and this program runs as user {user}: start it as the owner, or `chown {user} {path}`",
        path = path.display()
    )]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Others may read or write it.
    #[error(
        "{path} has mode {mode:04o}, so that other users can reach it: `chmod {wanted:04o} {path}`, and consider the secrets in it known",
        path = path.display()
    )]
    Loose {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The widest mode that is accepted.
        wanted: u32,
    },
}

/// Checks that only the user who runs this program can reach a file (mode 0600 or stricter) or folder (0700 or stricter).
///
/// # Errors
/// [`PermissionError`].
pub fn check_private(path: &Path) -> Result<(), PermissionError> {
    let metadata = path
        .metadata()
        .map_err(|source| PermissionError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(PermissionError::Owner {
            path: path.to_owned(),
            owner: metadata.uid(),
            user,
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PermissionError::Loose {
            path: path.to_owned(),
            mode,
            wanted: if metadata.is_dir() { 0o700 } else { 0o600 },
        });
    }
    Ok(())
}

/// Writes a new file of mode 0600, durably. Leaves none behind where it fails.
///
/// # Errors
/// What the system said; `AlreadyExists` where there is one of that name.
pub fn create_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        std::fs::remove_file(path)?;
    }
    written
}

/// Makes a folder of mode 0700, and those above it that are missing.
///
/// # Errors
/// What the system said.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes what happened to the names in a folder durable.
///
/// # Errors
/// What the system said.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Reads a file, but no more than one byte more than `longest`; what is read does not move in memory.
///
/// # Errors
/// What the system said.
pub fn read_bounded(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::with_capacity(longest + 1));
    File::open(path)?
        .take(longest as u64 + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}
