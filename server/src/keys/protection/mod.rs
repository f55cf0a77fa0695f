//! What protects the server keys: a random storage secret wraps them, and the repository holds that
//! secret encrypted under one kept elsewhere (PKCS #5, `pbe`), or not at all: then it is derived
//! from the compiled-in default key (`default`), which is public.

pub mod files;
pub mod pbe;
mod unlock;

use std::io;
use std::path::PathBuf;

use portcullis_common::crypto::storage::{self, StorageError};
use portcullis_common::id::KeyId;
use portcullis_common::secret::locked::LockedBytes;
use portcullis_common::secret::{ServerKey, StorageSecret};
use rand::Rng as _;

use super::key_rng::key_rng;
use crate::repository::{RepositoryError, Scheme};
use pbe::{Kdf, PbeError};
pub use portcullis_common::crypto::passphrase::{Secret, SecretError};
use portcullis_host::private_files::PermissionError;
use portcullis_host::text::TextError;
pub use unlock::{Unlock, holds_secret, settle, unlock};

/// Why the server keys cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ProtectionError {
    /// The file cannot be read.
    #[error("cannot read the secret file {path}: {source}; `portcullis-server init` makes it, and without it the repository's keys stay closed: put it back from your backup", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A secret file cannot be put in its place, or removed.
    #[error("cannot {action} the secret file {path}: {source}", path = path.display())]
    System {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It may be the only copy of a secret: nothing may take its place.
    #[error(
        "{staged} is left of an earlier change, and neither it nor {path} opens what the repository holds now: nothing was changed; move it to a safe place, then try again", staged = files::staged(.path).display(), path = path.display()
    )]
    LeftBeside {
        /// The secret file beside which it lies.
        path: PathBuf,
    },
    /// Others may read it.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// It is in another encoding, or no text at all.
    #[error("{origin}: {error}")]
    NoText {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        error: TextError,
    },
    /// What was given is no secret.
    #[error("{origin}: {error}")]
    Unsuitable {
        /// Where it came from.
        origin: String,
        /// Why.
        error: SecretError,
    },
    /// systemd passed no such credential.
    #[error(
        "there is no credential `{name}` ({reason}): give it in the unit, as `LoadCredential={name}:FILE` or `LoadCredentialEncrypted={name}:FILE`, or set secret_file in place of secret_credential"
    )]
    Credential {
        /// Its name.
        name: String,
        /// What is missing.
        reason: String,
    },
    /// Nobody can be asked.
    #[error(
        "there is no terminal to ask for the secret at ({0}): start the server at one, or set secret_file or secret_credential in place of secret_prompt"
    )]
    Prompt(io::Error),
    /// It was typed twice, and not alike.
    #[error("the two secrets are not the same: try again")]
    Mistyped,
    /// It does not open the repository.
    #[error(
        "{origin} does not open this repository's keys: it is not the secret that was set last with `portcullis-server init` or `portcullis key protect`, or it belongs to another repository; put back the right one"
    )]
    WrongSecret {
        /// Where it came from.
        origin: String,
    },
    /// Who can write the repository, but does not know its secret, would have it opened by a key
    /// that everybody knows.
    #[error(
        "the repository says that nothing but the public default key protects its keys, and yet {origin} is there: if `portcullis key protect default` was meant, take the secret out of the configuration, or move its file away; if not, somebody changed the repository: restore it from a backup"
    )]
    Downgraded {
        /// Where the secret would come from.
        origin: String,
    },
    /// The row that holds the encrypted storage secret is damaged.
    #[error(
        "the protection in the repository is damaged ({0}): restore the repository from a backup"
    )]
    Damaged(PbeError),
    /// The repository cannot be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Wraps and unwraps server keys, by the storage secret.
#[derive(Clone, Debug)]
pub struct Protection {
    secret: StorageSecret,
}

impl Protection {
    /// A fresh storage secret.
    pub fn random() -> Self {
        let mut bytes = LockedBytes::zeroed();
        key_rng().fill_bytes(&mut *bytes);
        Self {
            secret: bytes.into(),
        }
    }

    /// The storage secret that everybody can derive.
    pub fn public_default() -> Self {
        Self {
            secret: storage::default_storage_secret(),
        }
    }

    /// Encrypts the storage secret: what the repository is to hold. Takes as long as `kdf` is meant
    /// to take.
    ///
    /// # Errors
    /// [`PbeError`].
    pub fn encrypt(&self, secret: &Secret, kdf: Kdf) -> Result<Scheme, PbeError> {
        let cost = kdf.cost(secret.is_random());
        let encrypted = pbe::encrypt(
            cost,
            secret.expose(),
            self.secret.expose(),
            &mut rand::rng(),
        )?;
        Ok(Scheme::Pbe(encrypted))
    }

    /// Opens what [`Self::encrypt`] gave.
    ///
    /// # Errors
    /// [`PbeError`].
    pub fn decrypt(encrypted: &[u8], secret: &Secret) -> Result<Self, PbeError> {
        Ok(Self {
            secret: pbe::decrypt(encrypted, secret.expose())?.into(),
        })
    }

    /// Wraps a server key, for a repository whose rows carry MACs.
    pub fn wrap(&self, id: KeyId, key: &ServerKey) -> Vec<u8> {
        storage::wrap_server_key(&self.secret, id, key)
    }

    /// As [`Self::wrap`], for a repository whose rows carry no MACs yet.
    pub(super) fn wrap_unbound(&self, id: KeyId, key: &ServerKey) -> Vec<u8> {
        storage::wrap_unbound_server_key(&self.secret, id, key)
    }

    /// Unwraps a server key.
    ///
    /// # Errors
    /// [`StorageError`] where it was wrapped under another secret, or changed.
    pub fn unwrap(&self, id: KeyId, wrapped: &[u8]) -> Result<ServerKey, StorageError> {
        storage::unwrap_server_key(&self.secret, id, wrapped)
    }

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self {
            secret: StorageSecret::from_bytes(bytes),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn random_protection() -> Protection {
        Protection::random()
    }

    #[test]
    fn the_secret_stays_out_of_debug() {
        assert_eq!(
            format!("{:?}", Protection::random()),
            "Protection { secret: StorageSecret([redacted]) }"
        );
    }
}
