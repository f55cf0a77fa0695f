//! The store itself.

use std::io;
use std::path::Path;

use windows_registry::{Key, LOCAL_MACHINE, Type};
use windows_sys::Win32::Storage::FileSystem::READ_CONTROL;
use zeroize::Zeroizing;

use super::{access, win32};
use crate::key_store::{KeyStore, KeyStoreError, MAX_RECORD_LEN};
use crate::registry_error;
use crate::state_dir::{FileLock, StateDir};

const VALUE: &str = "Keys";
/// DPAPI adds a few hundred bytes.
const MAX_VALUE_LEN: usize = MAX_RECORD_LEN + 4096;

/// Keeps the record in the registry.
#[derive(Debug)]
pub struct RegistryStore {
    path: String,
    /// Binds the protected value to this place: copied to another instance it does not open.
    entropy: Vec<u8>,
    locks: StateDir,
}

impl RegistryStore {
    /// The store of the gateway named `instance`, whose locks are in `state_dir`. An instance has
    /// one state folder only.
    pub fn new(instance: &str, state_dir: &Path) -> Self {
        let path = format!(r"SOFTWARE\Portcullis\Gateway\{instance}");
        Self {
            entropy: format!("portcullis gateway key record {path}").into_bytes(),
            path,
            locks: StateDir::new(state_dir),
        }
    }

    fn open_private(&self) -> Result<Option<Key>, KeyStoreError> {
        let opened = LOCAL_MACHINE
            .options()
            .read()
            .access(READ_CONTROL)
            .open(&self.path);
        let key = match registry_error::io(opened) {
            Ok(key) => key,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("open", error)),
        };
        self.check_private(&key)?;
        Ok(Some(key))
    }

    fn check_private(&self, key: &Key) -> Result<(), KeyStoreError> {
        let access = win32::access_of(key).map_err(|error| self.failed("examine", error))?;
        if access::is_private(&access) {
            Ok(())
        } else {
            Err(KeyStoreError::Exposed {
                location: self.location(),
                access,
            })
        }
    }

    fn too_long(&self) -> KeyStoreError {
        KeyStoreError::TooLong {
            location: self.location(),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> KeyStoreError {
        KeyStoreError::Registry {
            action,
            location: self.location(),
            source,
        }
    }
}

impl KeyStore for RegistryStore {
    fn location(&self) -> String {
        format!(r"HKLM\{}", self.path)
    }

    fn prepare(&self) -> Result<(), KeyStoreError> {
        Ok(self.locks.create()?)
    }

    fn lock(&self) -> Result<FileLock, KeyStoreError> {
        self.locks
            .lock_keys()?
            .ok_or_else(|| KeyStoreError::NeverCreated {
                location: self.location(),
            })
    }

    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError> {
        let Some(key) = self.open_private()? else {
            return Ok(None);
        };
        let sealed = match win32::value(&key, VALUE, MAX_VALUE_LEN) {
            Ok(Some(bytes)) => bytes,
            // Made, but the first record was never stored.
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(self.too_long());
            }
            Err(error) => return Err(self.failed("read", error)),
        };
        let record = win32::unprotect(&sealed, &self.entropy).map_err(|source| {
            KeyStoreError::Protection {
                location: self.location(),
                source,
            }
        })?;
        if record.len() > MAX_RECORD_LEN {
            return Err(self.too_long());
        }
        Ok(Some(record))
    }

    fn write(&self, bytes: &[u8], _lock: &FileLock) -> Result<(), KeyStoreError> {
        let sealed =
            win32::protect(bytes, &self.entropy).map_err(|error| self.failed("protect", error))?;
        let key = win32::create(&self.path, access::PRIVATE)
            .map_err(|error| self.failed("create", error))?;
        // Before the keys go in, on the very handle that takes them.
        self.check_private(&key)?;
        registry_error::io(key.set_bytes(VALUE, Type::Bytes, &sealed))
            .map_err(|error| self.failed("write", error))?;
        win32::flush(&key).map_err(|error| self.failed("flush", error))
    }
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Storage::FileSystem::{WRITE_DAC, WRITE_OWNER};

    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let instance = format!("acl-test-{}", std::process::id());
        let store: &dyn KeyStore = &RegistryStore::new(&instance, &folder.path().join("state"));
        store.reset().unwrap();
        store.load().unwrap();
        let path = format!(r"SOFTWARE\Portcullis\Gateway\{instance}");
        let key = LOCAL_MACHINE
            .options()
            .read()
            .access(READ_CONTROL | WRITE_DAC | WRITE_OWNER)
            .open(&path)
            .unwrap();
        win32::restrict(&key, "O:BAD:P(A;;KA;;;SY)(A;;KA;;;BA)(A;;KR;;;BU)").unwrap();
        for refused in [store.load().map(drop), store.reset()] {
            let error = refused.unwrap_err();
            assert!(matches!(error, KeyStoreError::Exposed { .. }), "{error}");
        }
        LOCAL_MACHINE.remove_tree(&path).unwrap();
    }
}
