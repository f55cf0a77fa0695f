//! The file key store: the file `keys` in the state folder, 0600 in 0700, replaced as a whole.

use std::path::Path;

use zeroize::Zeroizing;

use super::{KeyStore, KeyStoreError, MAX_RECORD_LEN};
use crate::config::Config;
use crate::state_dir::{FileLock, StateDir};

const NAME: &str = "keys";

/// Keeps the record in a file that only the gateway's own user may read or write.
#[derive(Debug)]
pub struct FileStore {
    folder: StateDir,
}

impl FileStore {
    /// The store in `folder`, which need not exist yet.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: StateDir::new(folder),
        }
    }

    /// The store of this gateway.
    pub fn of(config: &Config) -> Self {
        Self {
            folder: StateDir::of(config),
        }
    }
}

impl KeyStore for FileStore {
    fn location(&self) -> String {
        self.folder.path().join(NAME).display().to_string()
    }

    fn prepare(&self) -> Result<(), KeyStoreError> {
        Ok(self.folder.create()?)
    }

    fn lock(&self) -> Result<FileLock, KeyStoreError> {
        self.folder
            .lock_keys()?
            .ok_or_else(|| KeyStoreError::NeverCreated {
                location: self.location(),
            })
    }

    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        let bytes = self.folder.read(NAME, MAX_RECORD_LEN + 1)?;
        match bytes {
            Some(bytes) if bytes.len() > MAX_RECORD_LEN => Err(KeyStoreError::TooLong {
                location: self.location(),
            }),
            bytes => Ok(bytes),
        }
    }

    fn write(&self, bytes: &[u8], _lock: &FileLock) -> Result<(), KeyStoreError> {
        Ok(self.folder.replace_secret(NAME, bytes)?)
    }
}
