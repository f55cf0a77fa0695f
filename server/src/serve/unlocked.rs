use std::sync::Arc;

use portcullis_common::id::ServerId;

use super::ServeError;
use super::permissions;
use crate::config::Config;
use crate::keys::protection::Protection;
use crate::keys::{KeyManager, Keyring};
use crate::repository::{Database, Repository, RepositoryError};

/// A repository whose secrets are at hand.
#[derive(Debug)]
pub struct Unlocked {
    /// The server that owns it.
    pub server_id: ServerId,
    /// The repository.
    pub repository: Repository,
    /// The server keys, opened, and what changes them.
    pub keys: KeyManager,
}

impl Unlocked {
    /// Opens the repository of `config` with its secret. Refuses files that others may reach.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn open(config: &Config) -> Result<Self, ServeError> {
        let file = config.repository_file();
        Self::must_exist(config)?;
        permissions::check_private(&config.data_dir)?;
        permissions::check_private(&file)?;
        let protection = Protection::load(&config.secret_file)?;
        let database = Database::open(&file).await?;
        let unlocked = Self::unlock(&database, protection).await;
        if unlocked.is_err() {
            database.close().await;
        }
        unlocked
    }

    /// Says what to do where nothing was made yet.
    pub(super) fn must_exist(config: &Config) -> Result<(), RepositoryError> {
        let file = config.repository_file();
        if file.exists() {
            return Ok(());
        }
        Err(RepositoryError::Missing {
            path: file.display().to_string(),
        })
    }

    /// As [`Self::open`], to look at it only: closes it again.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn inspect(config: &Config) -> Result<Self, ServeError> {
        let unlocked = Self::open(config).await?;
        unlocked.repository.database().close().await;
        Ok(unlocked)
    }

    async fn unlock(database: &Database, protection: Protection) -> Result<Self, ServeError> {
        let keyring = Arc::new(Keyring::unlock(database, &protection).await?);
        Ok(Self {
            server_id: database.meta().server_id().await?,
            repository: Repository::new(database.clone(), keyring.clone()),
            keys: KeyManager::new(database.clone(), keyring, protection),
        })
    }
}
