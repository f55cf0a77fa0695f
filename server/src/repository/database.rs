//! The repository that is open: who reads and writes it hands work to an engine.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use portcullis_common::rotation::UnixMillis;

use super::authority::Authority;
use super::engine::Engine;
use super::instance::InstanceId;
use super::postgres::{self, Purpose};
use super::queued_calls::Spent;
use super::sql::{self, Tx, Work};
use super::sqlite::Sqlite;
use super::{Fencing, RepositoryError, Served, Store, WriteObserver};

/// A repository that is open. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    engine: Arc<Engine>,
    place: Store,
    instance: InstanceId,
    /// Of one that is served from a database.
    fencing: Option<Arc<dyn Fencing>>,
    authority: Arc<OnceLock<Authority>>,
    spent: Arc<Spent>,
}

impl Database {
    /// Opens a repository in a file and brings its schema up to date.
    ///
    /// # Errors
    /// [`RepositoryError::Missing`], `Open`, `NewerSchema`, `Damaged`, `Full`, `Busy`.
    pub async fn open(path: &Path) -> Result<Self, RepositoryError> {
        Self::start(in_file(path), Purpose::Look, None).await
    }

    /// As [`Self::open`]; `observer` decides on every write from now on.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(
        path: &Path,
        observer: Arc<dyn WriteObserver>,
    ) -> Result<Self, RepositoryError> {
        Self::start(in_file(path), Purpose::Look, Some(observer)).await
    }

    /// Opens a repository to serve it, and brings its schema up to date. In a database, nothing is
    /// written before the row of [`Self::instance`] stands, and nothing once it is gone, which
    /// `fencing` is told. Of a file, whoever serves it locks its folder.
    ///
    /// # Errors
    /// As [`Self::open`]; of a database, also [`RepositoryError::Away`], `Unsuitable`, `Taken`,
    /// `SchemaChanged`.
    pub async fn serve(
        place: &Store,
        fencing: Arc<dyn Fencing>,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, RepositoryError> {
        let instance = InstanceId::random();
        let served = Served {
            instance,
            fencing: Arc::clone(&fencing),
        };
        let mut opened = Self::start(place.clone(), Purpose::Serve(served), observer).await?;
        opened.instance = instance;
        opened.fencing = Some(fencing);
        Ok(opened)
    }

    /// Opens a repository beside whoever serves it.
    ///
    /// # Errors
    /// As [`Self::serve`].
    pub async fn look_at(place: &Store) -> Result<Self, RepositoryError> {
        Self::start(place.clone(), Purpose::Look, None).await
    }

    /// Makes an empty repository at `path`, where no file may be.
    ///
    /// # Errors
    /// [`RepositoryError::Open`], `Full`.
    pub async fn create(path: &Path) -> Result<Self, RepositoryError> {
        let place = in_file(path);
        if let Some(path) = place.file() {
            Sqlite::create(path)?;
        }
        #[cfg(test)]
        postgres::testing::create(&place).await?;
        Self::start(place, Purpose::Look, None).await
    }

    /// Who claims what is claimed through this handle: every opening of a repository is another
    /// instance.
    pub const fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Whether nobody can have taken the repository over from this server by now: where somebody
    /// can, no call leaves.
    pub fn may_act(&self) -> bool {
        let may_act = |fencing: &Arc<dyn Fencing>| fencing.may_act();
        self.fencing.as_ref().is_none_or(may_act)
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

    /// Where it is.
    pub const fn place(&self) -> &Store {
        &self.place
    }

    /// Whether other servers may be at work on it.
    pub const fn is_shared(&self) -> bool {
        matches!(self.place, Store::Postgres(_))
    }

    /// The file that a test has it in.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        match &self.place {
            Store::File(path) => path,
            Store::Postgres(schema) => &schema.path,
        }
    }

    /// A number that is another one after every commit, of whichever program; `None`: it cannot be
    /// told now. It means something beside others of this handle alone. Of a database it counts the
    /// commits of this handle: while that may act, no other one commits.
    ///
    /// Cheap enough to be asked wherever a call goes: it waits for no other transaction, and
    /// whether there was a commit stands in memory that is shared by all who have the file open.
    /// After one it reads a single page.
    pub fn state(&self) -> Option<i64> {
        self.engine.state()
    }

    /// The time by the clock of whoever stores the repository: what servers store for one another
    /// to compare goes by it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn now(&self) -> Result<UnixMillis, RepositoryError> {
        self.look(|tx| tx.now()).await
    }

    /// How often this was told of something withdrawn: what was looked up before and is used
    /// afterwards is looked up once more.
    pub fn withdrawals(&self) -> u64 {
        self.engine.withdrawals()
    }

    /// Another server has withdrawn something: what was looked up before is looked up once more.
    pub fn changed_elsewhere(&self) {
        self.engine.changed_elsewhere();
    }

    /// Whether it is in a database that acknowledges changes which no standby has: a failover can
    /// lose them.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn has_no_standby(&self) -> Result<bool, RepositoryError> {
        match &self.place {
            Store::File(_) => Ok(false),
            Store::Postgres(_) => self.look(postgres::is_alone).await,
        }
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

    /// As [`Self::write`], of work that begins by locking the one row that all work of its kind
    /// locks, and so comes after whoever had it before: on an engine that runs changes side by
    /// side, it goes by what stands there then, and is not run again.
    pub(super) async fn write_in_turn<T, F>(&self, work: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, RepositoryError> + Send + 'static,
    {
        sql::answer(self.engine.write_in_turn(Work::new(work)).await?)
    }

    /// As [`Self::write`], of work that comes before or after every other such change of whichever
    /// server, and is not run again for one: it waits until none is under way.
    pub(super) async fn write_alone<T, F>(&self, work: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, RepositoryError> + Send + 'static,
    {
        sql::answer(self.engine.write_alone(Work::new(work)).await?)
    }

    /// Overwrites what was deleted; `false` where the engine cannot.
    pub(super) async fn overwrite_deleted(&self) -> Result<bool, RepositoryError> {
        self.engine.scrub().await
    }

    /// Keeps the repository from reading, until the answer is dropped.
    #[cfg(test)]
    pub(crate) fn stop_reading(&self) -> impl Sized + use<> {
        self.engine.stop_reading()
    }

    async fn start(
        place: Store,
        purpose: Purpose,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, RepositoryError> {
        if let Some(path) = place.file()
            && !path.exists()
        {
            return Err(RepositoryError::Missing {
                path: path.display().to_string(),
            });
        }
        let engine = Engine::open(&place, purpose, observer).await?;
        Ok(Self {
            engine: Arc::new(engine),
            place,
            instance: InstanceId::random(),
            fencing: None,
            authority: Arc::default(),
            spent: Arc::default(),
        })
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Database")
            .field(&self.engine.place())
            .finish()
    }
}

/// The repository in this file.
#[cfg(not(test))]
fn in_file(path: &Path) -> Store {
    Store::File(path.to_owned())
}

/// The repository in this file; where tests are to run on PostgreSQL, in a schema of its own there.
#[cfg(test)]
use super::postgres::testing::in_file;

#[cfg(test)]
mod tests;
