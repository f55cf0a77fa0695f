//! The state folder on Windows: locks and the status file; the keys are in the registry.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Former, StateDirError};
use crate::access_list::{self, Forbidden};

/// How a running gateway is stopped, for messages.
pub(super) const HOW_TO_STOP: &str = "";

/// Owners have no numbers here.
pub(super) fn owner(_: &Path) -> Option<u32> {
    None
}

/// Users have no numbers here.
pub(super) fn number_of(_: &str) -> Option<u32> {
    None
}

/// A folder that is there.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder; `None` where there is none.
    pub(super) fn open(path: &Path, _: Option<u32>) -> Result<Option<Self>, StateDirError> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => Err(StateDirError::Link {
                path: path.to_owned(),
            }),
            Ok(found) if found.is_dir() => {
                // Whoever may read a lock's file may also hold the lock.
                access_list::check(path, Forbidden::Anything).map_err(|error| {
                    StateDirError::Access {
                        path: path.to_owned(),
                        problem: error.to_string(),
                    }
                })?;
                Ok(Some(Self {
                    path: path.to_owned(),
                }))
            }
            Ok(_) => Err(StateDirError::Kind {
                path: path.to_owned(),
                expected: "a folder",
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateDirError::io("open", path, error)),
        }
    }

    /// Opens the folder, and makes it where there is none.
    pub(super) fn open_or_create(path: &Path, user: Option<u32>) -> Result<Self, StateDirError> {
        access_list::create_private_folders(path)
            .map_err(|source| StateDirError::io("create", path, source))?;
        Self::open(path, user)?
            .ok_or_else(|| StateDirError::io("open", path, io::ErrorKind::NotFound.into()))
    }

    pub(super) fn read(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StateDirError> {
        let path = self.path.join(name);
        let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
        let read =
            File::open(&path).and_then(|file| file.take(limit as u64).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateDirError::io("read", &path, error)),
        }
    }

    /// No file here holds keys, so none is overwritten.
    pub(super) fn replace(
        &self,
        name: &str,
        bytes: &[u8],
        _fate: Former,
    ) -> Result<(), StateDirError> {
        let path = self.path.join(name);
        let temporary = self.temporary(name);
        write_temporary(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|source| {
                // Gone already where the rename was done; nothing more can be done about it
                // elsewhere.
                let _ = fs::remove_file(&temporary);
                StateDirError::io("write", &path, source)
            })
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.new"))
    }

    /// A new, empty file beside that of this name.
    pub(super) fn draft(&self, name: &str) -> Result<File, StateDirError> {
        let temporary = self.temporary(name);
        File::create(&temporary).map_err(|source| StateDirError::io("create", &temporary, source))
    }

    /// Puts the draft in the place of the file of this name.
    pub(super) fn put(&self, name: &str) -> Result<(), StateDirError> {
        let path = self.path.join(name);
        fs::rename(self.temporary(name), &path)
            .map_err(|source| StateDirError::io("write", &path, source))
    }

    pub(super) fn rename(&self, name: &str, new_name: &str) -> Result<(), StateDirError> {
        let path = self.path.join(name);
        fs::rename(&path, self.path.join(new_name))
            .map_err(|source| StateDirError::io("rename", &path, source))
    }

    /// A file for reading and writing; `None` where there is none.
    pub(super) fn open_existing(&self, name: &str) -> Result<Option<File>, StateDirError> {
        let path = self.path.join(name);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateDirError::io("open", &path, error)),
        }
    }

    /// The lock file, made where there is none.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, StateDirError> {
        let path = self.path.join(name);
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| StateDirError::io("open", &path, source))
    }
}

fn write_temporary(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
