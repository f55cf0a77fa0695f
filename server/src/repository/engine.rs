//! The engines, behind what a [`Database`](super::Database) asks of one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lineage::{Lineage, Met};
use super::postgres::{self, Postgres, Purpose, Target};
use super::sql::{Answer, Work};
use super::sqlite::Sqlite;
use super::{RepositoryError, WriteObserver};
use crate::config;

pub(super) use super::postgres::Apart;

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In a file of SQLite.
    File(PathBuf),
    /// In a database of PostgreSQL.
    Postgres(Schema),
}

/// A schema in a database of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub(super) settings: config::Postgres,
    pub(super) name: String,
    /// What connections to it have met.
    pub(super) met: Arc<Met>,
    /// The file that the test believes to have.
    #[cfg(test)]
    pub(super) path: PathBuf,
}

impl Schema {
    fn new(settings: &config::Postgres, name: &str) -> Self {
        Self {
            settings: settings.clone(),
            name: name.to_owned(),
            met: Arc::default(),
            #[cfg(test)]
            path: PathBuf::new(),
        }
    }
}

impl Store {
    /// Where `config` says that it is.
    pub fn of(config: &config::Config) -> Self {
        match &config.engine {
            config::Engine::Sqlite => Self::File(config.repository_file()),
            config::Engine::Postgres(settings) => {
                Self::Postgres(Schema::new(settings, postgres::SCHEMA))
            }
        }
    }

    /// The file; `None`: it is in a database.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// A former start has met this database: among the hosts, one that goes on from it is taken.
    pub fn expect(&self, known: Lineage) {
        if let Self::Postgres(schema) = self {
            schema.met.expect(known);
        }
    }

    /// The database that this program has met; `None`: none yet, or the repository is in a file.
    pub fn lineage(&self) -> Option<Lineage> {
        match self {
            Self::File(_) => None,
            Self::Postgres(schema) => schema.met.latest(),
        }
    }
}

/// As messages name it.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(schema) => schema.settings.fmt(f),
        }
    }
}

/// An empty repository in a database, which becomes that database's own when it is finished: what a
/// crash leaves there before is never taken for a repository.
#[derive(Debug)]
pub struct Unfinished {
    settings: config::Postgres,
    place: Store,
}

impl Unfinished {
    /// Makes one.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Occupied` where the database has a repository.
    pub async fn create(settings: &config::Postgres) -> Result<Self, RepositoryError> {
        Postgres::must_be_free(settings.clone()).await?;
        Postgres::remove_unfinished(settings.clone()).await?;
        Postgres::create(settings.clone(), postgres::UNFINISHED.to_owned()).await?;
        Ok(Self {
            settings: settings.clone(),
            place: Store::Postgres(Schema::new(settings, postgres::UNFINISHED)),
        })
    }

    /// Where it is until then.
    pub const fn place(&self) -> &Store {
        &self.place
    }

    /// It is filled, and closed: from now on it is the database's own.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Occupied` where another one was faster.
    pub async fn finish(&self) -> Result<(), RepositoryError> {
        Postgres::publish(self.settings.clone(), postgres::UNFINISHED.to_owned()).await
    }

    /// It is not wanted any more.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn remove(self) -> Result<(), RepositoryError> {
        Postgres::remove_unfinished(self.settings).await
    }
}

impl Apart {
    /// A connection beside all others to the repository in a database; `None`: it is in a file.
    pub(super) fn of(store: &Store) -> Result<Option<Self>, RepositoryError> {
        match store {
            Store::File(_) => Ok(None),
            Store::Postgres(schema) => Self::open(Target::of(schema)).map(Some),
        }
    }
}

/// An engine with a repository that is open.
pub(super) enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Engine {
    /// Opens a repository and brings its schema up to date; `observer` decides on every write from
    /// then on.
    pub(super) async fn open(
        place: &Store,
        purpose: Purpose,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, RepositoryError> {
        Ok(match place {
            Store::File(path) => Self::Sqlite(Sqlite::open(path.clone(), observer).await?),
            Store::Postgres(schema) => {
                Self::Postgres(Postgres::open(Target::of(schema), purpose, observer).await?)
            }
        })
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Sqlite(engine) => engine.path().display().to_string(),
            Self::Postgres(engine) => engine.place(),
        }
    }

    /// See [`Database::state`](super::Database::state).
    pub(super) fn state(&self) -> Option<i64> {
        match self {
            Self::Sqlite(engine) => engine.state(),
            Self::Postgres(engine) => engine.state(),
        }
    }

    /// How often [`Self::changed_elsewhere`] was told.
    pub(super) fn withdrawals(&self) -> u64 {
        match self {
            Self::Sqlite(_) => 0,
            Self::Postgres(engine) => engine.withdrawals(),
        }
    }

    /// Somebody else has changed something: [`Self::state`] is another one from now on.
    pub(super) fn changed_elsewhere(&self) {
        match self {
            // It notices by itself.
            Self::Sqlite(_) => {}
            Self::Postgres(engine) => engine.changed_elsewhere(),
        }
    }

    /// Does `work` in a transaction that sees one state and changes nothing.
    pub(super) async fn read(&self, work: Work) -> Result<Answer, RepositoryError> {
        match self {
            Self::Sqlite(engine) => engine.read(work).await,
            Self::Postgres(engine) => engine.read(work).await,
        }
    }

    /// The same of work that reads few rows: others may share its transaction.
    pub(super) async fn look(&self, work: Work) -> Result<Answer, RepositoryError> {
        match self {
            Self::Sqlite(engine) => engine.look(work).await,
            Self::Postgres(engine) => engine.look(work).await,
        }
    }

    /// Does `work` in a transaction, durable when this returns; an error undoes it whole.
    pub(super) async fn write(&self, work: Work) -> Result<Answer, RepositoryError> {
        match self {
            Self::Sqlite(engine) => engine.write(work).await,
            Self::Postgres(engine) => engine.write(work).await,
        }
    }

    /// The same of work that begins by locking the one row that all of its kind lock.
    pub(super) async fn write_in_turn(&self, work: Work) -> Result<Answer, RepositoryError> {
        match self {
            Self::Sqlite(engine) => engine.write(work).await,
            Self::Postgres(engine) => engine.write_in_turn(work).await,
        }
    }

    /// The same of work that no other change of any server runs beside.
    pub(super) async fn write_alone(&self, work: Work) -> Result<Answer, RepositoryError> {
        match self {
            Self::Sqlite(engine) => engine.write(work).await,
            Self::Postgres(engine) => engine.write_alone(work).await,
        }
    }

    /// Overwrites what was deleted. `false`: the engine cannot, and has only given back its room.
    pub(super) async fn scrub(&self) -> Result<bool, RepositoryError> {
        match self {
            Self::Sqlite(engine) => engine.scrub().await.map(|()| true),
            Self::Postgres(engine) => engine.vacuum().await.map(|()| false),
        }
    }

    /// Keeps it from reading, until the answer is dropped.
    #[cfg(test)]
    pub(super) fn stop_reading(&self) -> Vec<std::sync::mpsc::Sender<()>> {
        match self {
            Self::Sqlite(engine) => engine.stop_reading(),
            Self::Postgres(engine) => engine.stop_reading(),
        }
    }

    /// Closes it when the work begun is done.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(engine) => engine.close().await,
            Self::Postgres(engine) => engine.close().await,
        }
    }
}
