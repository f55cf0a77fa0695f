//! The engine of SQLite: one file, one thread that writes, and a few that read. What waits to be
//! written together is made durable together, each still whole or not at all. Nothing else names
//! the driver.

mod batch;
mod scrub;
mod shape;
mod tables;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tx;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use portcullis_host::private_files::create_private_file;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::oneshot;

use super::one_write::OneWrite;
use super::readers::{Length, Read, Readers, Source};
use super::sql::{Answer, Tx, Work};
use super::{RepositoryError, WriteObserver, schema};
pub(super) use tables::{last_number, set_last_number, tables};
use tx::SqliteTx;

/// How long a transaction waits for another program's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that each connection keeps prepared.
const STATEMENTS: usize = 64;
/// Writes made durable together at most.
const MAX_BATCH: usize = 256;

enum Job {
    Write(OneWrite),
    Scrub(oneshot::Sender<Result<(), RepositoryError>>),
    Close(oneshot::Sender<()>),
}

/// A file that is open.
pub(super) struct Sqlite {
    path: PathBuf,
    writer: mpsc::Sender<Job>,
    readers: Readers<File>,
    /// Asks for [`Self::state`] and nothing else: SQLite counts for each connection the commits of
    /// all others, and not its own. The lock is never held for longer than that takes.
    counter: Mutex<Option<Connection>>,
}

impl Sqlite {
    /// Opens the file at `path` and brings its schema up to date; `observer` decides on every write
    /// from then on.
    pub(super) async fn open(
        path: PathBuf,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, RepositoryError> {
        let writer = start_writer(path.clone(), observer).await?;
        let opened = tokio::task::spawn_blocking(move || {
            let readers = Readers::start(File(path.clone()))?;
            let counter = connect(&path)?;
            // Whoever asks does not wait.
            counter.busy_timeout(Duration::ZERO)?;
            Ok(Self {
                path,
                writer,
                readers,
                counter: Mutex::new(Some(counter)),
            })
        });
        opened.await.map_err(|_| RepositoryError::Closed)?
    }

    /// Makes an empty file at `path`, where none may be.
    pub(super) fn create(path: &Path) -> Result<(), RepositoryError> {
        // Made before SQLite opens it, which takes the mode of its other files from this one.
        create_private_file(path, b"").map_err(|error| RepositoryError::Open {
            path: path.display().to_string(),
            reason: error.to_string(),
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// See [`Database::state`](super::Database::state).
    pub(super) fn state(&self) -> Option<i64> {
        let counter = self.counter();
        let mut asked = counter
            .as_ref()?
            .prepare_cached("PRAGMA data_version")
            .ok()?;
        asked.query_row([], |row| row.get(0)).ok()
    }

    /// Does `work` in a transaction that sees one state of the file and changes nothing.
    pub(super) async fn read(&self, work: Work) -> Result<Answer, RepositoryError> {
        self.readers.read(work, Length::Any).await
    }

    /// The same of work that reads few rows: others may share its transaction.
    pub(super) async fn look(&self, work: Work) -> Result<Answer, RepositoryError> {
        self.readers.read(work, Length::Brief).await
    }

    /// Does `work` in an immediate transaction, durable when this returns; an error undoes it
    /// whole.
    pub(super) async fn write(&self, work: Work) -> Result<Answer, RepositoryError> {
        let (answer, told) = oneshot::channel();
        self.submit(Job::Write(OneWrite::new(work, answer)))?;
        told.await.map_err(|_| RepositoryError::Closed)?
    }

    /// Overwrites what was deleted, after all writes asked for before.
    pub(super) async fn scrub(&self) -> Result<(), RepositoryError> {
        let (answer, told) = oneshot::channel();
        self.submit(Job::Scrub(answer))?;
        told.await.map_err(|_| RepositoryError::Closed)?
    }

    /// Keeps it from reading, until the answer is dropped.
    #[cfg(test)]
    pub(super) fn stop_reading(&self) -> Vec<mpsc::Sender<()>> {
        self.readers.stop()
    }

    /// Closes the file when the work begun is done.
    pub(super) async fn close(&self) {
        let counter = self.counter().take();
        drop(counter);
        self.readers.close().await;
        let (done, closed) = oneshot::channel();
        if self.submit(Job::Close(done)).is_ok() {
            // An error says that it is closed already.
            let _ = closed.await;
        }
    }

    fn submit(&self, job: Job) -> Result<(), RepositoryError> {
        self.writer.send(job).map_err(|_| RepositoryError::Closed)
    }

    fn counter(&self) -> MutexGuard<'_, Option<Connection>> {
        let counter = self.counter.lock();
        counter.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file, for those who read.
struct File(PathBuf);

impl Source for File {
    type Connection = Connection;

    fn connect(&self) -> Result<Connection, RepositoryError> {
        connect(&self.0)
    }

    fn read(&self, connection: &mut Connection, reads: Vec<Read>) {
        match connection.transaction().map_err(RepositoryError::from) {
            Ok(transaction) => {
                for read in reads {
                    read.answer(Ok(&mut SqliteTx(&transaction)));
                }
            }
            Err(error) => {
                for read in reads {
                    read.answer(Err(error.again()));
                }
            }
        }
    }

    fn place(&self) -> String {
        self.0.display().to_string()
    }
}

async fn start_writer(
    path: PathBuf,
    observer: Option<Arc<dyn WriteObserver>>,
) -> Result<mpsc::Sender<Job>, RepositoryError> {
    let (jobs, queue) = mpsc::channel();
    let (ready, opened) = oneshot::channel();
    let shown = path.display().to_string();
    thread::Builder::new()
        .name("repository-write".to_owned())
        .spawn(move || {
            let connection = connect(&path).and_then(|mut connection| {
                migrate(&mut connection)?;
                Ok(connection)
            });
            match connection {
                Ok(connection) => {
                    if ready.send(Ok(())).is_ok() {
                        serve(connection, &path, &queue, observer.as_deref());
                    }
                }
                // Nobody waits any more where the caller was cancelled.
                Err(error) => drop(ready.send(Err(error))),
            }
        })
        .map_err(|error| RepositoryError::Open {
            path: shown,
            reason: error.to_string(),
        })?;
    opened.await.map_err(|_| RepositoryError::Closed)??;
    Ok(jobs)
}

/// What the thread that writes does until the file is closed.
fn serve(
    mut connection: Connection,
    path: &Path,
    queue: &mpsc::Receiver<Job>,
    observer: Option<&dyn WriteObserver>,
) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| queue.recv().ok()) {
        match job {
            Job::Write(first) => {
                let mut batch = vec![first];
                while batch.len() < MAX_BATCH && next.is_none() {
                    match queue.try_recv() {
                        Ok(Job::Write(write)) => batch.push(write),
                        Ok(other) => next = Some(other),
                        Err(_) => break,
                    }
                }
                if !batch::write(&mut connection, batch, observer) {
                    return;
                }
            }
            Job::Scrub(answer) => {
                // Nobody waits any more where the caller was cancelled; the work is done all the
                // same.
                let _ = answer.send(scrub::scrub(&connection, path));
            }
            Job::Close(done) => {
                drop(connection);
                // Nobody waits any more.
                let _ = done.send(());
                return;
            }
        }
    }
}

/// The version of the schema stands in the file's header.
fn migrate(connection: &mut Connection) -> Result<(), RepositoryError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = schema::migrate(
        &mut Tx::new(&mut SqliteTx(&transaction)),
        found,
        Cow::Borrowed,
    )?;
    if version != found {
        transaction.pragma_update(None, "user_version", version)?;
    }
    shape::check(&transaction)?;
    Ok(transaction.commit()?)
}

fn connect(path: &Path) -> Result<Connection, RepositoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| {
        let reason = match RepositoryError::from(error) {
            RepositoryError::Storage(error) => error,
            other => return other,
        };
        RepositoryError::Open {
            path: path.display().to_string(),
            reason,
        }
    })?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "secure_delete", true)?;
    // Statements and temporary results stay out of /tmp.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // A statement is planned once, whatever its parameters are: else SQLite reads and plans it anew
    // each time that one of them changes on which its plan may depend.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    shape::run_nothing_of_the_file(&connection)?;
    Ok(connection)
}
