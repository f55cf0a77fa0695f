//! The repository as a file that is open: who reads and writes it hands work to an engine.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::authority::Authority;
use super::instance::InstanceId;
use super::queued_calls::Spent;
use super::sql::{self, Tx, Work};
use super::sqlite::Sqlite;
use super::{RepositoryError, WriteObserver};

/// A repository that is open. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    engine: Arc<Sqlite>,
    instance: InstanceId,
    authority: Arc<OnceLock<Authority>>,
    spent: Arc<Spent>,
}

impl Database {
    /// Opens a repository and brings its schema up to date.
    ///
    /// # Errors
    /// [`RepositoryError::Missing`], `Open`, `NewerSchema`, `Damaged`, `Full`, `Busy`.
    pub async fn open(path: &Path) -> Result<Self, RepositoryError> {
        if !path.exists() {
            return Err(RepositoryError::Missing {
                path: path.display().to_string(),
            });
        }
        Self::start(path, None).await
    }

    /// As [`Self::open`]; `observer` decides on every write from now on.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(
        path: &Path,
        observer: Arc<dyn WriteObserver>,
    ) -> Result<Self, RepositoryError> {
        Self::start(path, Some(observer)).await
    }

    /// Makes an empty repository at `path`, where no file may be.
    ///
    /// # Errors
    /// [`RepositoryError::Open`], `Full`.
    pub async fn create(path: &Path) -> Result<Self, RepositoryError> {
        Sqlite::create(path)?;
        Self::start(path, None).await
    }

    /// Who claims what is claimed through this handle: every opening of a repository is another
    /// instance.
    pub(super) const fn instance(&self) -> InstanceId {
        self.instance
    }

    /// The authority key; `None`: it was not opened yet.
    pub(super) fn opened_authority(&self) -> Option<Authority> {
        self.authority.get().cloned()
    }

    /// From now on, rows that decide are checked under this key. A second key is not taken.
    pub(super) fn set_authority(&self, authority: Authority) {
        // Whoever was first opened the same one.
        let _ = self.authority.set(authority);
    }

    /// The queued calls that wait no more, as far as this process knows.
    pub(super) const fn spent(&self) -> &Arc<Spent> {
        &self.spent
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.engine.path()
    }

    /// A number that is another one after every commit, of whichever program; `None`: it cannot be
    /// told now. It means something beside others of this handle alone.
    ///
    /// Cheap enough to be asked wherever a call goes: it waits for no other transaction, and
    /// whether there was a commit stands in memory that is shared by all who have the file open.
    /// After one it reads a single page.
    pub fn state(&self) -> Option<i64> {
        self.engine.state()
    }

    /// Closes the file when the work begun is done; what is asked afterwards fails with
    /// [`RepositoryError::Closed`].
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// Runs `work` in a transaction that sees one state of the file and changes nothing.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, RepositoryError> + Send + 'static,
    {
        sql::answer(self.engine.read(Work::new(work)).await?)
    }

    /// As [`Self::read`], of work that reads few rows and ends at once: what others look at in that
    /// moment may be read in the same transaction.
    pub(super) async fn look<T, F>(&self, work: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, RepositoryError> + Send + 'static,
    {
        sql::answer(self.engine.look(Work::new(work)).await?)
    }

    /// Runs `work` in a transaction, durable when this returns; an error undoes it whole. It has no
    /// effect outside the transaction: an engine may run it again from the start.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, RepositoryError> + Send + 'static,
    {
        sql::answer(self.engine.write(Work::new(work)).await?)
    }

    /// Overwrites what was deleted, as far as the engine can.
    pub(super) async fn overwrite_deleted(&self) -> Result<(), RepositoryError> {
        self.engine.scrub().await
    }

    /// Keeps the repository from reading, until the answer is dropped.
    #[cfg(test)]
    pub(crate) fn stop_reading(&self) -> impl Sized + use<> {
        self.engine.stop_reading()
    }

    async fn start(
        path: &Path,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, RepositoryError> {
        let engine = Sqlite::open(path.to_owned(), observer).await?;
        Ok(Self {
            engine: Arc::new(engine),
            instance: InstanceId::random(),
            authority: Arc::default(),
            spent: Arc::default(),
        })
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Database").field(&self.path()).finish()
    }
}

#[cfg(test)]
mod tests;
