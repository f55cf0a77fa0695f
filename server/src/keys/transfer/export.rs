//! Keys out of a server, under a passphrase.

use std::sync::Arc;

use portcullis_common::crypto::export::{
    ExportFile, KeyEntry, KeyPurpose, KeyState, MAX_FILE_LEN, OpenKey,
};
use portcullis_common::id::{KeyId, ServerId};
use portcullis_common::secret::ExportSecret;
use portcullis_common::secret::locked::LockedBytes;
use portcullis_host::clock;
use rand::Rng as _;
use zeroize::Zeroizing;

use crate::keys::key_rng::key_rng;
use crate::keys::manager::{Inner, KeyError, KeyManager, to_its_end};
use crate::keys::protection::Secret;
use crate::keys::protection::pbe::{self, Kdf, PbeError};
use crate::repository::RepositoryError;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The keys cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The export's secret cannot be encrypted.
    #[error("cannot encrypt the export: {0}")]
    Pbe(#[from] PbeError),
    /// No key meets what was asked for.
    #[error("no key was chosen: `portcullis key list` shows those there are")]
    Nothing,
    /// The file would not be accepted.
    #[error(
        "these are too many keys for one export: choose some with --key or --purpose, and make several"
    )]
    TooMany,
}

impl From<RepositoryError> for ExportError {
    fn from(error: RepositoryError) -> Self {
        Self::Key(error.into())
    }
}

/// Which keys.
#[derive(Clone, Debug, Default)]
pub struct ExportSelection {
    /// Those with these ids; empty: all.
    pub ids: Vec<KeyId>,
    /// Those for this purpose; `None`: both.
    pub purpose: Option<KeyPurpose>,
}

/// What protects the export.
#[derive(Clone, Debug)]
pub enum ExportProtection {
    /// A passphrase.
    Passphrase {
        /// The passphrase.
        passphrase: Secret,
        /// How the key is derived from it.
        kdf: Kdf,
    },
    /// The default key, which is public: nothing.
    PublicDefault,
}

impl KeyManager {
    /// Exports keys. Gives the file's text, and what is in it.
    ///
    /// # Errors
    /// [`ExportError`]; `NoSuchKey` where one that was named is not here, or not of this purpose.
    pub async fn export(
        &self,
        server_id: ServerId,
        selection: ExportSelection,
        protection: ExportProtection,
    ) -> Result<(String, Vec<KeyEntry>), ExportError> {
        let inner = Arc::clone(&self.inner);
        to_its_end(async move {
            let keys = {
                // No key is made or deleted while they are collected.
                let _unchanged = inner.protection.lock().await;
                inner.collect(&selection).await?
            };
            let entries: Vec<_> = keys.iter().map(|key| key.entry).collect();
            // Deriving is meant to take long: beside the tasks of the server.
            let seal = move || seal(server_id, &keys, &protection);
            let text = tokio::task::spawn_blocking(seal)
                .await
                .map_err(|_| KeyError::Stopping)??;
            tracing::info!(keys = entries.len(), "keys exported");
            Ok((text, entries))
        })
        .await
    }
}

impl Inner {
    async fn collect(&self, selection: &ExportSelection) -> Result<Vec<OpenKey>, ExportError> {
        let wanted = |purpose, id| {
            selection.purpose.is_none_or(|wanted| wanted == purpose)
                && (selection.ids.is_empty() || selection.ids.contains(&id))
        };
        let mut keys = Vec::new();
        for row in self.database.server_keys().list().await? {
            if wanted(KeyPurpose::Server, row.id) {
                let key = self.keyring.key(row.id);
                let key = key.ok_or(RepositoryError::NoSuchKey(row.id))?;
                keys.push(OpenKey {
                    entry: KeyEntry {
                        purpose: KeyPurpose::Server,
                        id: row.id,
                        state: if row.current {
                            KeyState::Current
                        } else {
                            KeyState::Retired
                        },
                        created: row.created,
                        retired: row.retired,
                    },
                    bytes: Zeroizing::new(key.expose().to_vec()),
                });
            }
        }
        let repository = self.repository();
        for row in repository.gateway_keys().list().await? {
            if wanted(KeyPurpose::Gateway, row.info.id) {
                let info = row.info;
                let state = match (info.compromised, info.withdrawn, info.retired) {
                    (true, ..) => KeyState::Compromised,
                    (_, true, _) => KeyState::Withdrawn,
                    (_, _, Some(_)) => KeyState::Retired,
                    (_, _, None) => KeyState::Current,
                };
                for key in repository.gateway_keys().open(&[info.id]).await? {
                    keys.push(OpenKey {
                        entry: KeyEntry {
                            purpose: KeyPurpose::Gateway,
                            id: info.id,
                            state,
                            created: row.created,
                            retired: info.retired,
                        },
                        bytes: Zeroizing::new(key.expose().to_vec()),
                    });
                }
            }
        }
        let missing = |id: &&KeyId| keys.iter().all(|key| key.entry.id != **id);
        match selection.ids.iter().find(missing) {
            Some(id) => Err(RepositoryError::NoSuchKey(*id).into()),
            None if keys.is_empty() => Err(ExportError::Nothing),
            None => Ok(keys),
        }
    }
}

fn seal(
    server_id: ServerId,
    keys: &[OpenKey],
    protection: &ExportProtection,
) -> Result<String, ExportError> {
    let (secret, encrypted) = match protection {
        ExportProtection::PublicDefault => (ExportSecret::public_default(), None),
        ExportProtection::Passphrase { passphrase, kdf } => {
            let mut bytes = LockedBytes::zeroed();
            key_rng().fill_bytes(&mut *bytes);
            let cost = kdf.cost(passphrase.is_random());
            let der = pbe::encrypt(cost, passphrase.expose(), &bytes, &mut rand::rng())?;
            (ExportSecret::from(bytes), Some(der))
        }
    };
    let text = ExportFile::seal(server_id, clock::now(), encrypted, &secret, keys).to_text();
    if text.len() > MAX_FILE_LEN {
        return Err(ExportError::TooMany);
    }
    Ok(text)
}
