//! Where the gateway keeps its keys: a file, or on Windows the registry.
//!
//! One record ([`GatewayRecord`]) holds everything, so that a crash at any point leaves the old
//! record or the new one. Every reading that leads to a writing happens under one lock (`update`),
//! which other processes (`enroll`, `pair`, `key reset`) respect too. A store that was never
//! created, one that is damaged and one that cannot be read are three different errors; none of
//! them ever counts as "holds no key".

#[cfg(unix)]
#[forbid(unsafe_code)]
mod file;
#[cfg(any(windows, test))]
mod registry;
#[cfg(unix)]
mod sealed;

use std::fmt;
use std::io;

use portcullis_common::crypto::sealed_record;
use portcullis_common::rotation::{GatewayRecord, RecordError};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::state_dir::{FileLock, StateDirError};

#[cfg(unix)]
pub use file::FileStore;
#[cfg(windows)]
pub use registry::RegistryStore;
#[cfg(unix)]
pub use sealed::SealedStore;

/// Larger than any record: what is larger is not read.
const MAX_RECORD_LEN: usize = 4096;

/// The key store of one gateway.
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// Where it is, as an administrator would look for it.
    fn location(&self) -> String;

    /// Makes what the lock needs, where it is not there. The store itself is made by the first
    /// [`Self::write`].
    ///
    /// # Errors
    /// [`KeyStoreError`] where it is unsafe or not to be made.
    fn prepare(&self) -> Result<(), KeyStoreError>;

    /// Takes the lock under which records are read in order to be written. Waits for it, 10 s at
    /// most.
    ///
    /// # Errors
    /// [`KeyStoreError`] where the folder of the lock is missing or unsafe, or the lock is held too
    /// long.
    fn lock(&self) -> Result<FileLock, KeyStoreError>;

    /// The stored bytes; `None` where the store was never created.
    ///
    /// # Errors
    /// [`KeyStoreError`] where others may read or write the store, or it cannot be read.
    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, KeyStoreError>;

    /// Replaces the stored bytes, durably and as a whole: after an error the former ones are still
    /// there. Creates the store where there is none.
    ///
    /// # Errors
    /// [`KeyStoreError`] where others may read or write the store, or it cannot be written.
    fn write(&self, bytes: &[u8], lock: &FileLock) -> Result<(), KeyStoreError>;

    /// Stores the record anew where it lies there as this store does not write it any more.
    ///
    /// # Errors
    /// [`KeyStoreError`]; the former one is still there.
    fn renew(&self) -> Result<(), KeyStoreError> {
        Ok(())
    }
}

/// The key store that this platform and this configuration call for.
pub fn open(config: &Config) -> Box<dyn KeyStore> {
    platform::open(config)
}

impl dyn KeyStore + '_ {
    /// The record as it is now.
    ///
    /// # Errors
    /// [`KeyStoreError`]; [`KeyStoreError::NeverCreated`] where there is no store.
    pub fn load(&self) -> Result<GatewayRecord, KeyStoreError> {
        self.load_if_created()?.ok_or_else(|| self.never_created())
    }

    /// The record as it is now; `None` where there is no store.
    ///
    /// # Errors
    /// [`KeyStoreError`] where it is damaged, unsafe or unreadable.
    pub fn load_if_created(&self) -> Result<Option<GatewayRecord>, KeyStoreError> {
        match self.read_record() {
            // A former record is overwritten once it was replaced: whoever was just reading it
            // reads again, under the lock.
            Err(KeyStoreError::Record { .. }) => {
                let _lock = self.lock()?;
                self.read_record()
            }
            other => other,
        }
    }

    /// Changes the record under the lock: `change` gets the record as it is now and gives the one
    /// to store, if any. What was given is stored durably when this returns.
    ///
    /// # Errors
    /// What `change` gives, or a [`KeyStoreError`]; the record is unchanged then.
    pub fn update<T, E: From<KeyStoreError>>(
        &self,
        change: impl FnOnce(GatewayRecord) -> Result<(Option<GatewayRecord>, T), E>,
    ) -> Result<T, E> {
        let lock = self.lock()?;
        let record = self.read_record()?.ok_or_else(|| self.never_created())?;
        let (new, outcome) = change(record)?;
        if let Some(new) = new {
            self.write(&new.encode(), &lock)?;
        }
        Ok(outcome)
    }

    /// As `update`, where there need be no store yet: `change` gets an empty record then, and the
    /// store is created.
    ///
    /// # Errors
    /// What `change` gives, or a [`KeyStoreError`]; the record is unchanged then.
    pub fn update_or_create<T, E: From<KeyStoreError>>(
        &self,
        change: impl FnOnce(GatewayRecord) -> Result<(GatewayRecord, T), E>,
    ) -> Result<T, E> {
        self.prepare()?;
        let lock = self.lock()?;
        let record = self.read_record()?;
        let (new, outcome) = change(record.unwrap_or(GatewayRecord::empty()))?;
        self.write(&new.encode(), &lock)?;
        Ok(outcome)
    }

    /// Forgets every key for good, also where the record is damaged. The store stays, empty.
    ///
    /// # Errors
    /// [`KeyStoreError`] where the store is unsafe or cannot be written.
    pub fn reset(&self) -> Result<(), KeyStoreError> {
        self.prepare()?;
        let lock = self.lock()?;
        self.write(&GatewayRecord::empty().encode(), &lock)
    }

    fn never_created(&self) -> KeyStoreError {
        KeyStoreError::NeverCreated {
            location: self.location(),
        }
    }

    fn read_record(&self) -> Result<Option<GatewayRecord>, KeyStoreError> {
        let Some(bytes) = self.read()? else {
            return Ok(None);
        };
        if sealed_record::is_sealed(&bytes) {
            return Err(KeyStoreError::Sealed {
                location: self.location(),
            });
        }
        GatewayRecord::decode(&bytes)
            .map(Some)
            .map_err(|source| KeyStoreError::Record {
                location: self.location(),
                source,
            })
    }
}

/// Why the key store cannot be used. Always fatal for what was under way; never a reason to do
/// without a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// There is none.
    #[error(
        "there is no key store at {location}: run `portcullis-gateway enroll` with the token that `portcullis gateway add` printed; \
         or, if this gateway was enrolled before, mount or restore what holds its state"
    )]
    NeverCreated {
        /// Where it should be.
        location: String,
    },
    /// It holds no readable record.
    #[error("{location}: {source}")]
    Record {
        /// Where it is.
        location: String,
        /// What is wrong with it.
        source: RecordError,
    },
    /// More bytes are stored than any record has.
    #[error(
        "{location}: this is no key record of a Portcullis gateway (too long): restore the disk, or `portcullis-gateway key reset` and enrol again"
    )]
    TooLong {
        /// Where it is.
        location: String,
    },
    /// It is sealed, and the configuration names no secret.
    #[error(
        "the keys at {location} are sealed under a credential of the service, which the configuration does not name: [key_store] secret_credential"
    )]
    Sealed {
        /// Where it is.
        location: String,
    },
    /// The credential with the secret is not there, or no secret.
    #[error(
        "[key_store] secret_credential: the credential `{name}` cannot be read ({reason}): the service has it by LoadCredentialEncrypted={name}:FILE in its unit; \
         a command beside it runs as root while the service runs, or by `systemd-run --pipe --wait -p LoadCredentialEncrypted={name}:FILE portcullis-gateway …`"
    )]
    Credential {
        /// Its name.
        name: String,
        /// What was found.
        reason: String,
    },
    /// It is sealed under another secret, or damaged.
    #[error(
        "the keys at {location} do not open under the credential `{name}`: that has another secret, or the file is damaged; \
         give the service the credential that it had, or `portcullis-gateway key reset` and enrol again"
    )]
    OtherSecret {
        /// Where it is.
        location: String,
        /// The credential's name.
        name: String,
    },
    /// The folder, or a file in it.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// Windows: others than SYSTEM and Administrators have access.
    #[error(
        "{location} is open to others than SYSTEM and Administrators ({access}): its keys may have been read; \
         remove the key in the registry editor, and enrol again with a new token"
    )]
    Exposed {
        /// The registry key.
        location: String,
        /// Its access list, as SDDL.
        access: String,
    },
    /// Windows: the protected value cannot be opened on this machine.
    #[error(
        "{location} cannot be decrypted by this Windows installation ({source}): it is damaged or was copied from another machine; \
         `portcullis-gateway key reset` and enrol again"
    )]
    Protection {
        /// The registry key.
        location: String,
        /// What the system says.
        source: io::Error,
    },
    /// Windows: the registry refused.
    #[error("cannot {action} {location}: {source}{}", advice(source))]
    Registry {
        /// What was tried.
        action: &'static str,
        /// The registry key.
        location: String,
        /// What the system says.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        ": run as SYSTEM or as Administrator"
    } else {
        ""
    }
}

#[cfg(unix)]
mod platform {
    use super::{Config, FileStore, KeyStore, SealedStore};

    pub(super) fn open(config: &Config) -> Box<dyn KeyStore> {
        let file = FileStore::of(config);
        match config.key_store.clone() {
            Some(credential) => Box::new(SealedStore::new(file, credential)),
            None => Box::new(file),
        }
    }
}

#[cfg(windows)]
mod platform {
    use super::{Config, KeyStore, RegistryStore};

    pub(super) fn open(config: &Config) -> Box<dyn KeyStore> {
        Box::new(RegistryStore::new(&config.instance, &config.state_dir))
    }
}
