//! The repository and its server keys, opened: what every start begins with.

use std::sync::Arc;

use portcullis_common::id::ServerId;
use portcullis_host::private_files;

use super::ServeError;
use crate::audit::HeadFile;
use crate::config::Config;
use crate::keys::protection::{self, Unlock};
use crate::keys::{KeyManager, Keyring, authority};
use crate::repository::{
    Database, Repository, RepositoryError, RowsCheck, Scheme, Store, WriteObserver,
};

/// What a look at a repository told.
#[derive(Debug)]
pub struct Inspected {
    /// The server that owns it.
    pub server_id: ServerId,
    /// How many entries its audit log has.
    pub entries: u64,
    /// Its records that decide; `None`: they carry no MACs yet.
    pub rows: Option<RowsCheck>,
}

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
    /// Opens the repository of `config` with its secret, and puts right what a crash left half
    /// done. Refuses files that others may reach.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn open(config: &Config) -> Result<Self, ServeError> {
        Self::open_to(config, Unlock::Mend, None).await
    }

    /// As [`Self::open`]; `observer` decides on every write from now on.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn open_observed(
        config: &Config,
        observer: Arc<dyn WriteObserver>,
    ) -> Result<Self, ServeError> {
        Self::open_to(config, Unlock::Mend, Some(observer)).await
    }

    /// As [`Self::open`], to look at it only: changes nothing, and closes it again.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn inspect(config: &Config) -> Result<Inspected, ServeError> {
        let unlocked = Self::open_to(config, Unlock::Look, None).await?;
        let Self {
            server_id,
            repository,
            ..
        } = unlocked;
        let last = repository.audit_entries().last().await;
        // An earlier version's records carry no MACs before the first start has made them.
        let rows = match repository.check_rows().await {
            Err(RepositoryError::Locked) => Ok(None),
            rows => rows.map(Some),
        };
        repository.database().close().await;
        Ok(Inspected {
            server_id,
            entries: last?.map_or(0, |entry| entry.seq),
            rows: rows?,
        })
    }

    /// As [`Self::open`], to look at it only: changes nothing. The repository is left open.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn look(config: &Config) -> Result<Self, ServeError> {
        Self::open_to(config, Unlock::Look, None).await
    }

    async fn open_to(
        config: &Config,
        how: Unlock,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, ServeError> {
        let place = Store::of(config);
        Self::must_exist(config)?;
        private_files::check_private(&config.data_dir)?;
        if let Some(file) = place.file() {
            private_files::check_private(file)?;
        }
        let database = match how {
            Unlock::Mend => Database::serve(&place, observer).await?,
            Unlock::Look => Database::look_at(&place).await?,
        };
        let unlocked = Self::in_use(&database, config, how).await;
        if unlocked.is_err() {
            database.close().await;
        }
        unlocked
    }

    /// Whether nothing was made yet.
    pub(crate) fn is_missing(config: &Config) -> bool {
        matches!(
            Self::must_exist(config),
            Err(RepositoryError::Missing { .. })
        )
    }

    /// Says what to do where nothing was made yet. `init` makes the data folder, whatever stores
    /// the repository.
    pub(super) fn must_exist(config: &Config) -> Result<(), RepositoryError> {
        let place = Store::of(config);
        let file = place.file().unwrap_or(&config.data_dir);
        let path = place.to_string();
        match file.try_exists() {
            Ok(true) => Ok(()),
            Ok(false) => Err(RepositoryError::Missing { path }),
            // Whoever may not look does not know that there is none.
            Err(error) => Err(RepositoryError::Open {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// Of a repository that is not used here any more, nothing is opened.
    async fn in_use(database: &Database, config: &Config, how: Unlock) -> Result<Self, ServeError> {
        match database.moved().await? {
            Some(to) => Err(RepositoryError::Moved { to }.into()),
            None => Self::unlock(database, config, how).await,
        }
    }

    /// Unlocks a repository that is open, and puts right what a crash left half done.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(super) async fn of(database: &Database, config: &Config) -> Result<Self, ServeError> {
        Self::unlock(database, config, Unlock::Mend).await
    }

    async fn unlock(database: &Database, config: &Config, how: Unlock) -> Result<Self, ServeError> {
        let protection = protection::unlock(database, &config.secret, how).await?;
        let keyring = Arc::new(Keyring::unlock(database, &protection).await?);
        let server_id = database.meta().server_id().await?;
        let repository = Repository::new(database.clone(), keyring.clone());
        let known = HeadFile::new(config.audit.head_file.clone()).knows_rows(server_id)?;
        authority::open(&repository, &protection, how, known).await?;
        if how == Unlock::Mend {
            scrub(database).await;
            warn_where_not_protected(database).await?;
        }
        Ok(Self {
            server_id,
            repository,
            keys: KeyManager::new(database.clone(), keyring, protection),
        })
    }
}

/// Deleted keys that a crash left in the file are overwritten now. That this cannot be done is no
/// reason not to serve.
async fn scrub(database: &Database) {
    match database.scrub_if_due().await {
        Ok(false) => {}
        Ok(true) => tracing::info!("overwrote what was deleted from the repository before"),
        Err(error) => {
            tracing::error!(%error, "keys that were deleted remain in the repository's files")
        }
    }
}

async fn warn_where_not_protected(database: &Database) -> Result<(), RepositoryError> {
    let row = database.protection().find().await?;
    if row.is_some_and(|row| row.scheme == Scheme::Default) {
        tracing::warn!(
            "the server keys are NOT protected: whoever gets hold of the repository has everything; `portcullis key protect pbe` protects them"
        );
    }
    Ok(())
}
