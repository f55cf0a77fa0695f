//! The repository and its server keys, opened: what every start begins with.

use std::sync::Arc;

use portcullis_common::id::ServerId;
use portcullis_host::private_files;

use super::ServeError;
use super::lock::DataDirLock;
use crate::audit::HeadFile;
use crate::config::Config;
use crate::keys::protection::{self, Unlock};
use crate::keys::{KeyManager, Keyring, authority};
use crate::repository::{
    Database, Repository, RepositoryError, RowsCheck, Scheme, Store, WriteObserver,
};
use crate::servers::{self, Arrival, Member, Waiting};

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
    /// What serves it is among those that do; `None`: it is only looked at.
    pub member: Option<Member>,
}

impl Unlocked {
    /// Opens the repository of `config` with its secret, and puts right what a crash left half
    /// done. Refuses files that others may reach.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn open(config: &Config) -> Result<Self, ServeError> {
        Self::serve(config, Arrival::alone(config, None), None, None).await
    }

    /// As [`Self::open`], for a program that holds this lock file.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn open_locked(config: &Config, lock: &DataDirLock) -> Result<Self, ServeError> {
        let arrival = Arrival::alone(config, lock.identity());
        Self::serve(config, arrival, None, None).await
    }

    /// As [`Self::open`]; `observer` decides on every write from now on.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn open_observed(
        config: &Config,
        observer: Arc<dyn WriteObserver>,
    ) -> Result<Self, ServeError> {
        Self::serve(config, Arrival::alone(config, None), None, Some(observer)).await
    }

    /// As [`Self::open`], for a server that holds this lock file, beside others where they reach
    /// one another. `waiting` is told for whom it waits; without it, a server that is at work is
    /// not waited for.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn join(
        config: &Config,
        lock: &DataDirLock,
        waiting: Option<Waiting<'_>>,
    ) -> Result<Self, ServeError> {
        let arrival = Arrival::of(config, lock.identity());
        Self::serve(config, arrival, waiting, None).await
    }

    /// As [`Self::open`], to look at it only: changes nothing, and closes it again.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn inspect(config: &Config) -> Result<Inspected, ServeError> {
        let unlocked = Self::look(config).await?;
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
        let database = Database::look_at(&Self::place(config)?).await?;
        let unlocked = Self::in_use(&database, config, Unlock::Look).await;
        if unlocked.is_err() {
            database.close().await;
        }
        unlocked
    }

    async fn serve(
        config: &Config,
        arrival: Arrival,
        waiting: Option<Waiting<'_>>,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, ServeError> {
        let place = Self::place(config)?;
        if let Some(known) = HeadFile::new(config.audit.head_file.clone()).lineage()? {
            place.expect(known);
        }
        let (database, member) = servers::open(&place, arrival, waiting, observer).await?;
        match Self::in_use(&database, config, Unlock::Mend).await {
            Ok(unlocked) => Ok(Self {
                member: Some(member),
                ..unlocked
            }),
            Err(error) => {
                database.close().await;
                member.leave().await;
                Err(error)
            }
        }
    }

    /// Closes the repository, and leaves those that serve it.
    pub async fn close(self) {
        self.repository.database().close().await;
        if let Some(member) = &self.member {
            member.leave().await;
        }
    }

    /// Where it is; refuses files that others may reach.
    fn place(config: &Config) -> Result<Store, ServeError> {
        let place = Store::of(config);
        Self::must_exist(config)?;
        private_files::check_private(&config.data_dir)?;
        if let Some(file) = place.file() {
            private_files::check_private(file)?;
        }
        Ok(place)
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
            member: None,
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
