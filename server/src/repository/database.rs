//! The file, and the threads that write and read it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};
use tokio::sync::oneshot;

use super::batch::{self, OneWrite, Write};
use super::{RepositoryError, WriteObserver, schema};

/// How long a transaction waits for another program's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that each thread keeps prepared.
const STATEMENTS: usize = 64;
/// Writes made durable together at most.
const MAX_BATCH: usize = 256;

enum Job {
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
    Write(Box<dyn Write>),
    Close(oneshot::Sender<()>),
}

/// A SQLite file: one thread writes, one reads. What waits to be written together is made durable together, each still
/// whole or not at all. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    writer: mpsc::Sender<Job>,
    reader: mpsc::Sender<Job>,
    /// Asks for [`Database::state`] and nothing else: SQLite counts for each connection the commits of all others, and not
    /// its own. The lock is never held for longer than that takes.
    observer: Mutex<Option<Connection>>,
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
        Self::start(path.to_owned(), None).await
    }

    /// As [`Self::open`]; `observer` decides on every write from now on.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(
        path: &Path,
        observer: Arc<dyn WriteObserver>,
    ) -> Result<Self, RepositoryError> {
        Self::start(path.to_owned(), Some(observer)).await
    }

    /// Makes an empty repository at `path`, where no file may be.
    ///
    /// # Errors
    /// [`RepositoryError::Open`], `Full`.
    pub async fn create(path: &Path) -> Result<Self, RepositoryError> {
        // Made before SQLite opens it, which takes the mode of its other files from this one.
        portcullis_host::private_files::create_private_file(path, b"").map_err(|error| {
            RepositoryError::Open {
                path: path.display().to_string(),
                reason: error.to_string(),
            }
        })?;
        Self::start(path.to_owned(), None).await
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// A number that is another one after every commit, of whichever program; `None`: it cannot be told now. It means
    /// something beside others of this handle alone.
    ///
    /// Cheap enough to be asked wherever a call goes: it waits for no other transaction, and whether there was a commit
    /// stands in memory that is shared by all who have the file open. After one it reads a single page.
    pub fn state(&self) -> Option<i64> {
        let observer = self.observer();
        let mut asked = observer
            .as_ref()?
            .prepare_cached("PRAGMA data_version")
            .ok()?;
        asked.query_row([], |row| row.get(0)).ok()
    }

    /// Closes the file when the work begun is done; what is asked afterwards fails with [`RepositoryError::Closed`].
    pub async fn close(&self) {
        let observer = self.observer().take();
        drop(observer);
        for jobs in [&self.shared.reader, &self.shared.writer] {
            let (done, closed) = oneshot::channel();
            if jobs.send(Job::Close(done)).is_ok() {
                // An error says that it is closed already.
                let _ = closed.await;
            }
        }
    }

    /// Runs `work` in a transaction that sees one state of the file and changes nothing.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, RepositoryError> + Send + 'static,
    {
        run(&self.shared.reader, move |connection| {
            let transaction = connection.transaction()?;
            work(&transaction)
        })
        .await
    }

    /// Runs `work` in an immediate transaction, durable when this returns; an error undoes it whole.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, RepositoryError> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let write = Box::new(OneWrite {
            work: Some(work),
            result: None,
            answer,
        });
        self.shared
            .writer
            .send(Job::Write(write))
            .map_err(|_| RepositoryError::Closed)?;
        result.await.map_err(|_| RepositoryError::Closed)?
    }

    /// Runs `work` where no transaction is open, after all writes asked for before.
    pub(super) async fn maintain<T, F>(&self, work: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, RepositoryError> + Send + 'static,
    {
        run(&self.shared.writer, work).await
    }

    fn observer(&self) -> MutexGuard<'_, Option<Connection>> {
        let observer = self.shared.observer.lock();
        observer.unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(
        path: PathBuf,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Result<Self, RepositoryError> {
        let writer = worker("repository-write", path.clone(), observer, |connection| {
            schema::migrate(connection)
        })
        .await?;
        let reader = worker("repository-read", path.clone(), None, |_| Ok(())).await?;
        let opened = path.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let connection = connect(&opened)?;
            // Whoever asks does not wait.
            connection.busy_timeout(Duration::ZERO)?;
            Ok::<_, RepositoryError>(connection)
        });
        let observer = opened.await.map_err(|_| RepositoryError::Closed)?;
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                writer,
                reader,
                observer: Mutex::new(Some(observer?)),
            }),
        })
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Database").field(&self.path()).finish()
    }
}

async fn run<T, F>(jobs: &mpsc::Sender<Job>, work: F) -> Result<T, RepositoryError>
where
    T: Send + 'static,
    F: FnOnce(&mut Connection) -> Result<T, RepositoryError> + Send + 'static,
{
    let (answer, result) = oneshot::channel();
    jobs.send(Job::Run(Box::new(move |connection| {
        // Nobody waits any more where the caller was cancelled; the work is done all the same.
        let _ = answer.send(work(connection));
    })))
    .map_err(|_| RepositoryError::Closed)?;
    result.await.map_err(|_| RepositoryError::Closed)?
}

async fn worker(
    name: &str,
    path: PathBuf,
    observer: Option<Arc<dyn WriteObserver>>,
    prepare: impl FnOnce(&mut Connection) -> Result<(), RepositoryError> + Send + 'static,
) -> Result<mpsc::Sender<Job>, RepositoryError> {
    let (jobs, queue) = mpsc::channel();
    let (ready, opened) = oneshot::channel();
    let shown = path.display().to_string();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let connection = connect(&path).and_then(|mut connection| {
                prepare(&mut connection)?;
                Ok(connection)
            });
            match connection {
                Ok(connection) => {
                    if ready.send(Ok(())).is_ok() {
                        serve(connection, &queue, observer.as_deref());
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

fn serve(
    mut connection: Connection,
    queue: &mpsc::Receiver<Job>,
    observer: Option<&dyn WriteObserver>,
) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| queue.recv().ok()) {
        match job {
            Job::Run(work) => work(&mut connection),
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
            Job::Close(done) => {
                drop(connection);
                // Nobody waits any more.
                let _ = done.send(());
                return;
            }
        }
    }
}

fn connect(path: &Path) -> Result<Connection, RepositoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| {
        let reason = match RepositoryError::from(error) {
            RepositoryError::Storage(error) => error.to_string(),
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
    Ok(connection)
}

#[cfg(test)]
mod tests;
