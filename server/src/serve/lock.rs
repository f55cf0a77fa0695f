//! One server per data folder: SQLite's file is one process's.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

use portcullis_host::lock::FileLock;

/// Why the data folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another server runs on it.
    #[error(
        "another portcullis-server uses {path}: stop it first, or give this one another data_dir",
        path = .0.display()
    )]
    Taken(PathBuf),
    /// The lock file cannot be made.
    #[error("cannot lock {path}: {source}", path = path.display())]
    System {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Held for as long as the server runs; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _lock: FileLock,
    identity: Option<Vec<u8>>,
}

impl DataDirLock {
    /// Takes the lock of `data_dir`.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(data_dir: &Path) -> Result<Self, LockError> {
        Self::try_take(data_dir)?.ok_or_else(|| LockError::Taken(data_dir.to_owned()))
    }

    /// Tells this lock file from any other, as long as the host runs: also from a copy of it, here
    /// or elsewhere. `None`: the system does not say.
    pub fn identity(&self) -> Option<Vec<u8>> {
        self.identity.clone()
    }

    /// Whether a server runs on this folder.
    ///
    /// # Errors
    /// [`LockError::System`].
    pub fn is_taken(data_dir: &Path) -> Result<bool, LockError> {
        // What is taken here is free again at once; a file that is not there is not made.
        Ok(data_dir.join("lock").exists() && Self::try_take(data_dir)?.is_none())
    }

    fn try_take(data_dir: &Path) -> Result<Option<Self>, LockError> {
        let path = data_dir.join("lock");
        let system = |source| LockError::System {
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(system)?;
        let identity = identity(&file);
        let lock = FileLock::try_take(file).map_err(system)?;
        Ok(lock.map(|lock| Self {
            _lock: lock,
            identity,
        }))
    }
}

fn identity(file: &File) -> Option<Vec<u8>> {
    let booted = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let metadata = file.metadata().ok()?;
    let place = format!("{} {} {}", booted.trim(), metadata.dev(), metadata.ino());
    Some(place.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_on_the_same_folder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDirLock::take(folder.path()).unwrap();
        let error = DataDirLock::take(folder.path()).unwrap_err();
        assert!(matches!(error, LockError::Taken(_)), "{error}");
        let identity = first.identity();
        drop(first);
        let again = DataDirLock::take(folder.path()).unwrap();
        assert!(identity.is_some());
        assert_eq!(again.identity(), identity);
        let other = tempfile::tempdir().unwrap();
        let other = DataDirLock::take(other.path()).unwrap();
        assert_ne!(other.identity(), identity);
    }
}
