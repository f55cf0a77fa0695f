//! The server keys, opened, in locked memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use portcullis_common::crypto::storage::{self, SealingKey, StorageError};
use portcullis_common::id::{KeyId, KeyKind};
use portcullis_common::rotation::UnixMillis;
use portcullis_common::secret::ServerKey;
use zeroize::Zeroizing;

use super::key_rng::key_rng;
use super::protection::Protection;
use crate::repository::{Database, OpenError, Place, RepositoryError, Sealer};

/// Why there is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// There is no server key at all.
    #[error(
        "the repository holds no server key: it was not made by `portcullis-server init`, or is damaged"
    )]
    Empty,
    /// A server key does not open under the storage secret that stands beside it.
    #[error(
        "server key {0} does not open, though the secret is right: it or the protection in the repository was changed; restore the repository from a backup"
    )]
    DoesNotOpen(KeyId),
}

/// The server keys, opened: seals and opens the secrets in the repository. It follows the
/// repository: what changes a server key there changes it here right after.
pub struct Keyring {
    held: RwLock<Held>,
}

struct Held {
    keys: HashMap<KeyId, Arc<HeldKey>>,
    current: (KeyId, Arc<HeldKey>),
}

struct HeldKey {
    key: ServerKey,
    sealing: SealingKey,
}

impl HeldKey {
    fn new(key: ServerKey) -> Arc<Self> {
        let sealing = SealingKey::new(&key);
        Arc::new(Self { key, sealing })
    }
}

impl Keyring {
    /// Opens every server key of `database`.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn unlock(
        database: &Database,
        protection: &Protection,
    ) -> Result<Self, KeyringError> {
        let rows = database.server_keys().list().await?;
        let mut keys = HashMap::new();
        for row in &rows {
            let key = protection
                .unwrap(row.id, &row.wrapped)
                .map_err(|_| KeyringError::DoesNotOpen(row.id))?;
            keys.insert(row.id, HeldKey::new(key));
        }
        let current = rows
            .iter()
            .find(|row| row.current)
            .and_then(|row| Some((row.id, keys.get(&row.id)?.clone())))
            .ok_or(KeyringError::Empty)?;
        Ok(Self {
            held: RwLock::new(Held { keys, current }),
        })
    }

    /// Makes a server key, stores it wrapped, and gives a keyring of it alone: for a repository
    /// just made.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn create(
        database: &Database,
        protection: &Protection,
        now: UnixMillis,
    ) -> Result<Self, RepositoryError> {
        let mut rng = key_rng();
        let id = KeyId::random(KeyKind::Tdes, &mut rng);
        let key = ServerKey::random(KeyKind::Tdes, &mut rng);
        let generation = database.protection().find().await?;
        let generation = generation.map(|row| row.generation);
        let (keys, wrapped) = (database.server_keys(), protection.wrap(id, &key));
        keys.add(id, wrapped, generation, now).await?;
        let key = HeldKey::new(key);
        Ok(Self {
            held: RwLock::new(Held {
                keys: HashMap::from([(id, Arc::clone(&key))]),
                current: (id, key),
            }),
        })
    }

    /// The id of the key that seals.
    pub fn current(&self) -> KeyId {
        self.read().current.0
    }

    /// The key with this id, where it is here.
    pub fn key(&self, id: KeyId) -> Option<ServerKey> {
        self.read().keys.get(&id).map(|held| held.key.clone())
    }

    /// The ids of the keys that are here.
    pub fn ids(&self) -> Vec<KeyId> {
        self.read().keys.keys().copied().collect()
    }

    /// A copy that holds these keys, too.
    pub(super) fn with(&self, more: impl IntoIterator<Item = (KeyId, ServerKey)>) -> Self {
        let held = self.read();
        let mut keys = held.keys.clone();
        keys.extend(more.into_iter().map(|(id, key)| (id, HeldKey::new(key))));
        Self {
            held: RwLock::new(Held {
                keys,
                current: held.current.clone(),
            }),
        }
    }

    /// Takes in a key that was stored.
    pub fn add(&self, id: KeyId, key: ServerKey) {
        self.write().keys.insert(id, HeldKey::new(key));
    }

    /// Seals under this key from now on, as the repository does; `false`: it is not here.
    pub fn set_current(&self, id: KeyId) -> bool {
        let mut held = self.write();
        let Some(key) = held.keys.get(&id).cloned() else {
            return false;
        };
        held.current = (id, key);
        true
    }

    /// Erases a key that was deleted; `false`: it is the current one, and stays.
    pub fn remove(&self, id: KeyId) -> bool {
        let mut held = self.write();
        if held.current.0 == id {
            return false;
        }
        held.keys.remove(&id);
        true
    }

    /// Holds these keys and no others from now on, and seals under `current`, which is one of them
    /// or stays as it is.
    pub(super) fn renew(&self, ids: &[KeyId], current: KeyId) {
        let mut held = self.write();
        if let Some(key) = held.keys.get(&current).cloned() {
            held.current = (current, key);
        }
        let sealing = held.current.0;
        held.keys.retain(|id, _| *id == sealing || ids.contains(id));
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        // Whole at every moment, whoever panicked meanwhile.
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sealer for Keyring {
    fn seal(&self, place: &Place<'_>, value: &[u8]) -> Vec<u8> {
        let (id, key) = self.read().current.clone();
        storage::seal(&key.sealing, id, &encode(place), value, &mut rand::rng())
    }

    fn holds_key_of(&self, sealed: &[u8]) -> bool {
        storage::server_key_id(sealed).is_some_and(|id| self.read().keys.contains_key(&id))
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let id = storage::server_key_id(sealed)
            .ok_or_else(|| OpenError::Malformed(place.to_string()))?;
        let key = self.read().keys.get(&id).cloned();
        let key = key.ok_or_else(|| OpenError::UnknownKey {
            place: place.to_string(),
            key: id,
        })?;
        storage::open(&key.sealing, &encode(place), sealed).map_err(|error| match error {
            StorageError::Malformed => OpenError::Malformed(place.to_string()),
            StorageError::Forged => OpenError::Forged(place.to_string()),
        })
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = self.read();
        let (keys, current) = (held.keys.len(), held.current.0);
        write!(f, "Keyring({keys} keys, current {current})")
    }
}

/// Each part with its length before it: no two places have the same bytes.
fn encode(place: &Place<'_>) -> Vec<u8> {
    let parts = [
        place.kind.bound_name().as_bytes(),
        place.owner,
        place.field.as_bytes(),
        place.context,
    ];
    // As the first versions sealed what has no context: three parts.
    let count = if place.context.is_empty() { 3 } else { 4 };
    let mut bytes = Vec::new();
    for part in parts.into_iter().take(count) {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::protection::tests::random_protection;
    use crate::repository::ProtectedType;

    async fn keyring() -> (tempfile::TempDir, Database, Protection, Keyring) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(&folder.path().join("test.db"))
            .await
            .unwrap();
        let protection = random_protection();
        let keyring = Keyring::create(&database, &protection, UnixMillis(1))
            .await
            .unwrap();
        (folder, database, protection, keyring)
    }

    const PLACE: Place<'_> = Place {
        kind: ProtectedType::GatewayKey,
        owner: b"one",
        field: "key",
        context: &[],
    };

    #[tokio::test]
    async fn a_value_moved_to_another_kind_owner_or_field_does_not_open() {
        let (_folder, _, _, keyring) = keyring().await;
        let sealed = keyring.seal(&PLACE, b"secret");
        assert_eq!(**keyring.open(&PLACE, &sealed).unwrap(), *b"secret");
        let elsewhere = [
            Place {
                kind: ProtectedType::EnrolmentKey,
                ..PLACE
            },
            Place {
                owner: b"two",
                ..PLACE
            },
            Place {
                field: "nonce",
                ..PLACE
            },
            Place {
                context: b"gateway",
                ..PLACE
            },
            // The same bytes, cut elsewhere.
            Place {
                owner: b"onek",
                field: "ey",
                ..PLACE
            },
        ];
        for place in elsewhere {
            let error = keyring.open(&place, &sealed).unwrap_err();
            assert_eq!(error, OpenError::Forged(place.to_string()));
        }
        assert!(matches!(
            keyring.open(&PLACE, &sealed[..20]).unwrap_err(),
            OpenError::Malformed(_)
        ));
    }

    #[tokio::test]
    async fn a_stored_keyring_opens_again_with_its_secret_and_no_other() {
        let (_folder, database, protection, first) = keyring().await;
        let sealed = first.seal(&PLACE, b"secret");
        let again = Keyring::unlock(&database, &protection).await.unwrap();
        assert_eq!(**again.open(&PLACE, &sealed).unwrap(), *b"secret");
        let error = Keyring::unlock(&database, &random_protection())
            .await
            .unwrap_err();
        assert!(matches!(error, KeyringError::DoesNotOpen(_)), "{error}");
    }

    #[tokio::test]
    async fn a_value_of_another_keyring_names_the_key_that_is_missing() {
        let (_folder, _, _, one) = keyring().await;
        let (_other_folder, _, _, other) = keyring().await;
        let sealed = one.seal(&PLACE, b"secret");
        let error = other.open(&PLACE, &sealed).unwrap_err();
        assert!(matches!(error, OpenError::UnknownKey { .. }), "{error}");
    }
}
