//! Changes of the server keys: in the repository first, then in the keyring. A crash in between is
//! healed by the next start, which reads the repository.

use std::sync::Arc;

use portcullis_common::id::{KeyId, KeyKind};
use portcullis_common::secret::ServerKey;
use portcullis_host::clock;
use tokio::sync::Mutex;

use super::Keyring;
use super::key_rng::key_rng;
use super::protection::{self, Protection, ProtectionError, Unlock};
use crate::config::SecretSource;
use crate::repository::{Database, Repository, RepositoryError, ServerKeyRow};

/// Why the server keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The repository could not be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// What stands in the repository is not the key.
    #[error(
        "server key {0} does not open as it is stored: it was not made current, and nothing is sealed under it; look at the disk, then try again"
    )]
    DoesNotOpen(KeyId),
    /// The server ended meanwhile.
    #[error(
        "the server is stopping: look at `portcullis key list` when it runs again, then try again"
    )]
    Stopping,
}

/// Why the server keys were not read again.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The repository cannot be read, or the server ends.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The secret of this server does not open them any more.
    #[error(
        "the server keys are protected anew, and the secret of this server does not open them: {0}"
    )]
    Protection(#[from] ProtectionError),
    /// One is not what a server stored.
    #[error("server key {0} does not open as it is stored")]
    DoesNotOpen(KeyId),
}

impl From<RepositoryError> for RenewError {
    fn from(error: RepositoryError) -> Self {
        Self::Key(error.into())
    }
}

/// What makes, chooses and deletes server keys: one change at a time. Cheap to clone.
///
/// A change that was begun comes to its end, also where nobody waits for it any more: the keyring
/// never lags behind a repository that was changed.
#[derive(Clone, Debug)]
pub struct KeyManager {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) database: Database,
    pub(super) keyring: Arc<Keyring>,
    /// Held by each change from its beginning to its end.
    pub(super) protection: Mutex<Protection>,
}

impl KeyManager {
    /// The manager of the server keys of `database`, which `protection` opens and `keyring` holds.
    pub fn new(database: Database, keyring: Arc<Keyring>, protection: Protection) -> Self {
        Self {
            inner: Arc::new(Inner {
                database,
                keyring,
                protection: Mutex::new(protection),
            }),
        }
    }

    /// The opened keys that this manager keeps in step with the repository.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.inner.keyring
    }

    /// Makes a server key of `kind` (`None`: that of the current one) and stores it; with
    /// `set_current`, seals under it from now on. Gives its id.
    ///
    /// # Errors
    /// [`KeyError`]. A key that was stored and could not be made current stays, for
    /// [`Self::set_current`].
    pub async fn generate(
        &self,
        kind: Option<KeyKind>,
        set_current: bool,
    ) -> Result<KeyId, KeyError> {
        let id = self.fresh_id(kind);
        let inner = Arc::clone(&self.inner);
        to_its_end(async move {
            let protection = inner.protection.lock().await;
            inner.ensure(&protection, id).await?;
            if set_current {
                inner.make_current(id).await?;
            }
            Ok(id)
        })
        .await
    }

    /// An id for a key of `kind` (`None`: that of the current one) that is yet to be made.
    pub fn fresh_id(&self, kind: Option<KeyKind>) -> KeyId {
        let kind = kind.unwrap_or_else(|| self.keyring().current().kind());
        KeyId::random(kind, &mut rand::rng())
    }

    /// Makes and stores the server key of this id, unless it is there already.
    ///
    /// # Errors
    /// [`KeyError`]: nothing was stored.
    pub async fn ensure(&self, id: KeyId) -> Result<(), KeyError> {
        let inner = Arc::clone(&self.inner);
        to_its_end(async move {
            let protection = inner.protection.lock().await;
            inner.ensure(&protection, id).await
        })
        .await
    }

    /// The stored server keys that do not open, or are others than those in the keyring; and how
    /// many there are in all.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn check(&self) -> Result<(Vec<KeyId>, u64), KeyError> {
        let protection = self.inner.protection.lock().await;
        let rows = self.inner.database.server_keys().list().await?;
        let bad = rows.iter().filter(|row| {
            let held = self.keyring().key(row.id);
            let stored = protection.unwrap(row.id, &row.wrapped).ok();
            !matches!((&held, &stored), (Some(held), Some(stored)) if held.expose() == stored.expose())
        });
        Ok((bad.map(|row| row.id).collect(), rows.len() as u64))
    }

    /// Reads the server keys again: another server may have made, chosen or deleted some, or
    /// wrapped all of them anew, under the secret that `source` gives.
    ///
    /// # Errors
    /// [`RenewError`]: those that open are held all the same.
    pub async fn renew(&self, source: &SecretSource) -> Result<(), RenewError> {
        let (inner, source) = (Arc::clone(&self.inner), source.clone());
        to_its_end(async move {
            let mut protection = inner.protection.lock().await;
            inner.renew(&mut protection, &source).await
        })
        .await
    }

    /// Seals under this stored key from now on. Gives the id of the key before.
    ///
    /// # Errors
    /// [`KeyError`]: the current key stays.
    pub async fn set_current(&self, id: KeyId) -> Result<KeyId, KeyError> {
        let inner = Arc::clone(&self.inner);
        to_its_end(async move {
            let protection = inner.protection.lock().await;
            let key = inner
                .keyring
                .key(id)
                .ok_or(RepositoryError::NoSuchKey(id))?;
            inner.check_stored(&protection, id, &key).await?;
            inner.make_current(id).await
        })
        .await
    }
}

impl Inner {
    /// The repository, whose values the keyring opens.
    pub(super) fn repository(&self) -> Repository {
        Repository::new(self.database.clone(), self.keyring.clone())
    }

    async fn ensure(&self, protection: &Protection, id: KeyId) -> Result<(), KeyError> {
        if self.keyring.key(id).is_some() {
            return Ok(());
        }
        let key = ServerKey::random(id.kind(), &mut key_rng());
        let keys = self.database.server_keys();
        // Before the keys are read: another server may protect them anew meanwhile.
        let generation = self.database.protection().find().await?;
        let generation = generation.map(|row| row.generation);
        let rows = keys.list().await?;
        let current = rows.iter().find(|row| row.current);
        if current.is_some_and(|row| protection.unwrap(row.id, &row.wrapped).is_err()) {
            return Err(RepositoryError::ProtectionChanged.into());
        }
        let wrapped = protection.wrap(id, &key);
        keys.add(id, wrapped, generation, clock::now()).await?;
        if let Err(error) = self.check_stored(protection, id, &key).await {
            // It would keep the server from starting.
            keys.remove(id).await?;
            return Err(error);
        }
        self.keyring.add(id, key);
        tracing::info!(key = %id, "server key made");
        Ok(())
    }

    async fn renew(
        &self,
        protection: &mut Protection,
        source: &SecretSource,
    ) -> Result<(), RenewError> {
        let rows = self.database.server_keys().list().await?;
        let opens = |protection: &Protection, row: &ServerKeyRow| {
            protection.unwrap(row.id, &row.wrapped).ok()
        };
        // Nobody is there to be asked for it.
        let asks = *source == SecretSource::Prompt;
        if !asks && rows.iter().any(|row| opens(protection, row).is_none()) {
            *protection = protection::unlock(&self.database, source, Unlock::Look).await?;
            if let SecretSource::File(path) = source
                && let Err(error) = protection::settle(&self.database, path).await
            {
                tracing::warn!(%error, "the new secret lies beside the secret file until the next start");
            }
        }
        let mut closed = None;
        for row in &rows {
            match opens(protection, row) {
                Some(key) if self.keyring.key(row.id).is_none() => {
                    self.keyring.add(row.id, key);
                    tracing::info!(key = %row.id, "another server made a server key");
                }
                Some(_) => {}
                None => closed = Some(row.id),
            }
        }
        let current = rows.iter().find(|row| row.current).map(|row| row.id);
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        self.keyring
            .renew(&ids, current.unwrap_or_else(|| self.keyring.current()));
        closed.map_or(Ok(()), |id| Err(RenewError::DoesNotOpen(id)))
    }

    /// Checks that the repository gives this key again.
    async fn check_stored(
        &self,
        protection: &Protection,
        id: KeyId,
        key: &ServerKey,
    ) -> Result<(), KeyError> {
        let row = self.database.server_keys().find(id).await?;
        let row = row.ok_or(RepositoryError::NoSuchKey(id))?;
        match protection.unwrap(id, &row) {
            Ok(stored) if stored.expose() == key.expose() => Ok(()),
            _ => Err(KeyError::DoesNotOpen(id)),
        }
    }

    async fn make_current(&self, id: KeyId) -> Result<KeyId, KeyError> {
        let before = self.keyring.current();
        self.database
            .server_keys()
            .set_current(id, clock::now())
            .await?;
        // It was put there before it was chosen.
        self.keyring.set_current(id);
        tracing::info!(key = %id, %before, "server key made current");
        Ok(before)
    }
}

/// Runs a change to its end, whether or not its caller still waits.
pub(super) async fn to_its_end<T: Send + 'static, E: From<KeyError> + Send + 'static>(
    change: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    tokio::spawn(change).await.map_err(|_| KeyError::Stopping)?
}

#[cfg(test)]
mod tests {
    use super::super::protection::tests::random_protection;
    use super::*;
    use crate::repository::{OpenError, Place, ProtectedType, Sealer};

    const PLACE: Place<'_> = Place {
        kind: ProtectedType::UserPassword,
        owner: b"ada",
        field: "password",
        context: &[],
    };

    async fn manager() -> (tempfile::TempDir, KeyManager) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(&folder.path().join("test.db"))
            .await
            .unwrap();
        let protection = random_protection();
        let keyring = Keyring::create(&database, &protection, clock::now())
            .await
            .unwrap();
        let manager = KeyManager::new(database, Arc::new(keyring), protection);
        (folder, manager)
    }

    async fn reopened(manager: &KeyManager) -> Keyring {
        let protection = manager.inner.protection.lock().await;
        Keyring::unlock(&manager.inner.database, &protection)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_new_key_is_stored_and_seals_only_once_it_was_chosen() {
        let (_folder, manager) = manager().await;
        let first = manager.keyring().current();
        let second = manager
            .generate(Some(KeyKind::Aes256), false)
            .await
            .unwrap();
        assert_eq!(second.kind(), KeyKind::Aes256);
        assert_eq!(manager.keyring().current(), first);
        assert_eq!(reopened(&manager).await.current(), first);
        assert_eq!(manager.set_current(second).await.unwrap(), first);
        let sealed = manager.keyring().seal(&PLACE, b"secret");
        let again = reopened(&manager).await;
        assert_eq!(again.current(), second);
        assert_eq!(**again.open(&PLACE, &sealed).unwrap(), *b"secret");

        let third = manager.generate(None, true).await.unwrap();
        assert_eq!(third.kind(), KeyKind::Aes256);
        assert_eq!(manager.keyring().current(), third);
        let rows = manager.inner.database.server_keys().list().await.unwrap();
        let current: Vec<_> = rows.iter().filter(|row| row.current).collect();
        assert_eq!((current.len(), current[0].id), (1, third));
        assert_eq!(rows.len(), 3);
    }

    #[tokio::test]
    async fn a_key_that_is_not_there_or_does_not_open_is_not_made_current() {
        let (_folder, manager) = manager().await;
        let first = manager.keyring().current();
        let absent = KeyId::random(KeyKind::Tdes, &mut rand::rng());
        let error = manager.set_current(absent).await.unwrap_err();
        assert!(matches!(
            error,
            KeyError::Repository(RepositoryError::NoSuchKey(id)) if id == absent
        ));
        let second = manager.generate(None, false).await.unwrap();
        // The disk gives back something else than was written.
        *manager.inner.protection.lock().await = random_protection();
        let error = manager.set_current(second).await.unwrap_err();
        assert!(
            matches!(error, KeyError::DoesNotOpen(id) if id == second),
            "{error}"
        );
        assert_eq!(manager.keyring().current(), first);
        let rows = manager.inner.database.server_keys().list().await.unwrap();
        assert!(rows.iter().any(|row| row.id == first && row.current));
    }

    #[tokio::test]
    async fn what_another_server_did_to_the_keys_is_read_again() {
        let (_folder, manager) = manager().await;
        let database = &manager.inner.database;
        let protection = manager.inner.protection.lock().await.clone();
        let keyring = Keyring::unlock(database, &protection).await.unwrap();
        let other = KeyManager::new(database.clone(), Arc::new(keyring), protection);
        let first = manager.keyring().current();
        let second = other.generate(None, true).await.unwrap();
        let sealed = other.keyring().seal(&PLACE, b"secret");
        let unknown = manager.keyring().open(&PLACE, &sealed).unwrap_err();
        assert!(matches!(unknown, OpenError::UnknownKey { key, .. } if key == second));
        manager.renew(&SecretSource::Prompt).await.unwrap();
        assert_eq!(
            **manager.keyring().open(&PLACE, &sealed).unwrap(),
            *b"secret"
        );
        assert_eq!(manager.keyring().current(), second);
        assert!(database.server_keys().remove(first).await.unwrap());
        manager.renew(&SecretSource::Prompt).await.unwrap();
        assert_eq!(manager.keyring().ids(), [second]);
    }

    #[tokio::test]
    async fn a_change_that_nobody_waits_for_comes_to_its_end() {
        let (_folder, manager) = manager().await;
        let first = manager.keyring().current();
        let changes = manager.inner.protection.lock().await;
        let asked = manager.clone();
        let caller = tokio::spawn(async move { asked.generate(None, true).await });
        // The change waits for its turn when its caller gives up.
        tokio::task::yield_now().await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        drop(changes);
        // Whoever gets the turn next finds it done.
        manager.generate(None, false).await.unwrap();
        let current = manager.keyring().current();
        assert_ne!(current, first);
        assert_eq!(reopened(&manager).await.current(), current);
    }
}
