//! Another protection, or another secret: a fresh storage secret, and every server key wrapped anew
//! under it, in one transaction.
//!
//! With a secret file, a crash at any point leaves a server that starts: the new secret is written
//! beside the old one first, and takes its place last (see [`files`]).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_common::id::KeyId;
use portcullis_host::clock;

use super::manager::{Inner, KeyError, KeyManager, to_its_end};
use super::protection::pbe::{self, Cost, Kdf, PbeError};
use super::protection::{Protection, ProtectionError, Secret, files, settle};
use crate::config::SecretSource;
use crate::keys::key_rng::key_rng;
use crate::repository::{RepositoryError, Scheme};

/// Why the protection was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ProtectError {
    /// A server key cannot be read, or the server ended.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The secret, or its file.
    #[error(transparent)]
    Protection(#[from] ProtectionError),
    /// The storage secret cannot be encrypted.
    #[error("cannot protect the keys: {0}; nothing was changed")]
    Pbe(#[from] PbeError),
    /// Nobody would know it.
    #[error(
        "this server takes its secret from {0}, where it cannot write a fresh one: give the new secret with --secret-file or --prompt; nothing was changed"
    )]
    SecretNeeded(String),
    /// What stands in the repository is not the key.
    #[error(
        "server key {0} does not open as it is stored, and would be lost: nothing was changed; restore the repository from a backup, or delete the key if nothing needs it"
    )]
    DoesNotOpen(KeyId),
    /// The change took effect; its last step is left for the next start.
    #[error(
        "the protection was changed, but its secret lies in {path}.new until the next start puts it in place ({source}): back that file up now", path = path.display()
    )]
    NotPlaced {
        /// The secret file.
        path: PathBuf,
        /// What the system said.
        source: ProtectionError,
    },
    /// There is no secret to wrap anew under.
    #[error(
        "the keys are protected by the default key, which is public: there is nothing to renew; `portcullis key protect pbe` protects them"
    )]
    NotProtected,
}

impl From<RepositoryError> for ProtectError {
    fn from(error: RepositoryError) -> Self {
        Self::Key(error.into())
    }
}

/// What is to protect the server keys from now on.
#[derive(Clone, Debug)]
pub enum NewProtection {
    /// The compiled-in default key, which is public.
    Default,
    /// A secret (PKCS #5).
    Pbe {
        /// `None`: a fresh one, written to the server's secret file.
        secret: Option<Secret>,
        /// How the key is derived from it.
        kdf: Kdf,
    },
}

/// How the server keys are protected now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// What deriving the key costs; `None`: the default key protects, that is, nothing does.
    pub cost: Option<Cost>,
    /// Grows with each change.
    pub generation: u64,
    /// How many server keys were wrapped anew.
    pub keys: usize,
    /// The file that holds the new secret.
    pub secret_file: Option<PathBuf>,
    /// Where the new secret has to stand at the next start, where the server cannot put it there;
    /// with the default key, what has to leave the configuration.
    pub to_be_placed: Option<String>,
    /// Why the old wrapped keys could not be overwritten in the repository's files yet; the next
    /// start tries again.
    pub not_scrubbed: Option<String>,
}

impl KeyManager {
    /// Switches to this protection, or to another secret of the same. `source` is where the server
    /// takes its secret from at its start.
    ///
    /// # Errors
    /// [`ProtectError`]: the protection is as it was.
    pub async fn protect(
        &self,
        new: NewProtection,
        source: &SecretSource,
    ) -> Result<Protected, ProtectError> {
        self.protect_by(Change::prepare(new, source).await?, source)
            .await
    }

    /// The same by a change that was prepared.
    ///
    /// # Errors
    /// As [`Self::protect`].
    pub async fn protect_by(
        &self,
        change: Change,
        source: &SecretSource,
    ) -> Result<Protected, ProtectError> {
        let inner = Arc::clone(&self.inner);
        let source = source.clone();
        to_its_end(async move {
            let mut protection = inner.protection.lock().await;
            if let SecretSource::File(path) = &source {
                settle(&inner.database, path).await?;
            }
            change.begin(&source)?;
            let switched = inner.switch(&protection, &change).await;
            let (generation, keys) = match switched {
                Ok(done) => done,
                Err(error) => {
                    if came_before_the_write(&error) {
                        change.undo(&source);
                    } else {
                        tracing::warn!(
                            "the change of the protection may have taken effect: both secrets are kept, and the next start, or the next change, finds the right one"
                        );
                    }
                    return Err(error);
                }
            };
            *protection = change.protection.clone();
            tracing::info!(generation, keys, "the server keys are protected anew");
            change.end(&source)?;
            Ok(Protected {
                generation,
                keys,
                not_scrubbed: inner.scrub().await,
                to_be_placed: change.to_be_placed(&source),
                cost: change.cost,
                secret_file: change.file.map(|(path, _)| path),
            })
        })
        .await
    }

    /// Wraps every server key anew under a fresh storage secret, which the same `secret` opens.
    /// Gives how many.
    ///
    /// # Errors
    /// [`ProtectError`]: nothing was changed. `NotProtected` where the default key protects.
    pub async fn rewrap(&self, source: &SecretSource) -> Result<usize, ProtectError> {
        let kdf = self.rewrappable(source).await?;
        if let SecretSource::File(path) = source {
            let _unchanged = self.inner.protection.lock().await;
            settle(&self.inner.database, path).await?;
        }
        let secret = Some(files::read(source)?);
        let new = NewProtection::Pbe { secret, kdf };
        Ok(self.protect(new, source).await?.keys)
    }

    /// Whether [`Self::rewrap`] can do its work, and how the key is derived now.
    ///
    /// # Errors
    /// [`ProtectError`]: why it cannot.
    pub async fn rewrappable(&self, source: &SecretSource) -> Result<Kdf, ProtectError> {
        let row = self.inner.database.protection().find().await?;
        let Some(Scheme::Pbe(encrypted)) = row.map(|row| row.scheme) else {
            return Err(ProtectError::NotProtected);
        };
        let kdf = match pbe::cost(&encrypted).map_err(ProtectionError::Damaged)? {
            Cost::Pbkdf2 { .. } => Kdf::Pbkdf2,
            Cost::Scrypt { .. } => Kdf::Scrypt,
        };
        if *source == SecretSource::Prompt {
            return Err(ProtectError::SecretNeeded(files::describe(source)));
        }
        Ok(kdf)
    }
}

/// A change about to be made. Nothing of it is stored yet.
pub struct Change {
    protection: Protection,
    scheme: Scheme,
    cost: Option<Cost>,
    /// The secret file to be replaced.
    file: Option<(PathBuf, Secret)>,
}

impl Change {
    /// The change to this protection.
    ///
    /// # Errors
    /// [`ProtectError`].
    pub async fn prepare(new: NewProtection, source: &SecretSource) -> Result<Self, ProtectError> {
        let NewProtection::Pbe { secret, kdf } = new else {
            return Ok(Self {
                protection: Protection::public_default(),
                scheme: Scheme::Default,
                cost: None,
                file: None,
            });
        };
        let secret = match (secret, source) {
            (Some(secret), _) => secret,
            (None, SecretSource::File(_)) => Secret::random(&mut key_rng()),
            (None, other) => return Err(ProtectError::SecretNeeded(files::describe(other))),
        };
        let protection = Protection::random();
        let cost = kdf.cost(secret.is_random());
        // Deriving is meant to take long: beside the tasks of the server.
        let derive = {
            let (protection, secret) = (protection.clone(), secret.clone());
            move || protection.encrypt(&secret, kdf)
        };
        let scheme = tokio::task::spawn_blocking(derive)
            .await
            .map_err(|_| KeyError::Stopping)??;
        Ok(Self {
            protection,
            scheme,
            cost: Some(cost),
            file: match source {
                SecretSource::File(path) => Some((path.clone(), secret)),
                SecretSource::Credential(_) | SecretSource::Prompt => None,
            },
        })
    }

    /// What opens with the new secret alone; `None`: no secret will be needed.
    pub fn encrypted(&self) -> Option<&[u8]> {
        match &self.scheme {
            Scheme::Default => None,
            Scheme::Pbe(encrypted) => Some(encrypted),
        }
    }

    /// Before the repository is changed. A repository without protection has no secret file: the
    /// one in use is put aside.
    fn begin(&self, source: &SecretSource) -> Result<(), ProtectionError> {
        match (&self.file, source) {
            (Some((path, secret)), _) => files::stage(path, secret),
            (None, SecretSource::File(path)) => files::put_aside(path),
            (None, SecretSource::Credential(_) | SecretSource::Prompt) => Ok(()),
        }
    }

    /// The secret in use stays so, as the repository was not changed. What cannot be done here is
    /// done by the next start.
    fn undo(&self, source: &SecretSource) {
        let undone = match (&self.file, source) {
            (Some((path, _)), _) => files::discard(path).map(|_| ()),
            (None, SecretSource::File(path)) if files::staged(path).exists() => files::place(path),
            (None, _) => Ok(()),
        };
        if let Err(error) = undone {
            tracing::warn!(%error, "the secret files are put right by the next start");
        }
    }

    /// After the repository was changed.
    fn end(&self, source: &SecretSource) -> Result<(), ProtectError> {
        match (&self.file, source) {
            (Some((path, _)), _) => files::place(path).map_err(|source| ProtectError::NotPlaced {
                path: path.clone(),
                source,
            }),
            (None, SecretSource::File(path)) => {
                // It opens nothing any more; the next start removes it where this fails.
                if let Err(error) = files::discard(path) {
                    tracing::warn!(%error, "the former secret stays until the next start");
                }
                Ok(())
            }
            (None, SecretSource::Credential(_) | SecretSource::Prompt) => Ok(()),
        }
    }

    fn to_be_placed(&self, source: &SecretSource) -> Option<String> {
        let elsewhere = !matches!(source, SecretSource::File(_));
        elsewhere.then(|| files::describe(source))
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").finish_non_exhaustive()
    }
}

/// An error of the disk, on the other hand, may come after the change took effect.
const fn came_before_the_write(error: &ProtectError) -> bool {
    matches!(
        error,
        ProtectError::DoesNotOpen(_)
            | ProtectError::Key(KeyError::Repository(RepositoryError::ProtectionChanged))
    )
}

impl Inner {
    /// Wraps every key anew and stores it all in one transaction. Gives the new generation, and how
    /// many keys.
    async fn switch(
        &self,
        before: &Protection,
        change: &Change,
    ) -> Result<(u64, usize), ProtectError> {
        let expected = self.database.protection().find().await?;
        let expected = expected.map(|row| row.generation);
        let wrapped = self.wrap_anew(before, &change.protection).await?;
        let keys = wrapped.len();
        let scheme = change.scheme.clone();
        let switched = self
            .database
            .protection()
            .switch(expected, scheme.clone(), wrapped, clock::now())
            .await;
        match switched {
            Ok(generation) => Ok((generation, keys)),
            // An error of the disk may come after the change took effect: what stands there now
            // decides.
            Err(error) => match self.database.protection().find().await? {
                Some(row) if row.scheme == scheme && Some(row.generation) != expected => {
                    Ok((row.generation, keys))
                }
                _ => Err(error.into()),
            },
        }
    }

    /// From what is stored, not from the keyring: a key that no longer opens must not be lost by
    /// the way.
    async fn wrap_anew(
        &self,
        before: &Protection,
        after: &Protection,
    ) -> Result<Vec<(KeyId, Vec<u8>)>, ProtectError> {
        let rows = self.database.server_keys().list().await?;
        rows.iter()
            .map(|row| {
                let key = before.unwrap(row.id, &row.wrapped);
                let key = key.map_err(|_| ProtectError::DoesNotOpen(row.id))?;
                Ok((row.id, after.wrap(row.id, &key)))
            })
            .collect()
    }

    /// Overwrites what was deleted; gives why it could not.
    pub(super) async fn scrub(&self) -> Option<String> {
        let error = self.database.scrub().await.err()?;
        tracing::error!(%error, "what was deleted remains in the repository's files until the next start");
        Some(error.to_string())
    }
}

#[cfg(test)]
mod tests;
