//! SQLite: one connection that writes, and some that read beside it, each on a thread of its own.
//!
//! The database is in WAL mode, so that who reads does not wait for who writes. Other programs may
//! write to it too: a change waits for them as long as `lock_timeout` says.

mod fault;
mod value;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};
use tonic::async_trait;

use super::engine::{
    Access, Column, Engine, Fault, Note, Param, Query, Row, Rows, Transaction, Unfinished, few,
};
use super::postgres::Times;
use super::statement::Dialect;
use crate::connector::Context;
use crate::model::FailureKind;
use worker::Worker;

/// Rows that wait for whoever reads them.
const AHEAD: usize = 64;

/// Statements that stay prepared on a connection.
const PREPARED: usize = 64;

/// A database of SQLite.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    place: String,
    times: Times,
    writer: Arc<Turn<Option<Worker>>>,
    readers: Arc<Readers>,
}

/// Connections that read and are not in use, and room for those that are.
struct Readers {
    idle: Mutex<Vec<Worker>>,
    room: Arc<Semaphore>,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Readers")
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Worker")
    }
}

impl Sqlite {
    pub(super) fn new(path: &Path, times: Times, connections: usize) -> Self {
        Self {
            path: path.to_owned(),
            place: format!("sqlite:{}", path.display()),
            times,
            writer: Arc::default(),
            readers: Arc::new(Readers {
                idle: Mutex::default(),
                room: Arc::new(Semaphore::new(connections)),
            }),
        }
    }

    fn setup(&self, access: Access) -> String {
        let wait = self.times.lock.as_millis();
        let mode = match access {
            Access::Read => "PRAGMA query_only = on",
            Access::Change => "PRAGMA journal_mode = wal; PRAGMA synchronous = full",
        };
        format!(
            "PRAGMA busy_timeout = {wait}; PRAGMA foreign_keys = on; PRAGMA trusted_schema = off; {mode}"
        )
    }

    async fn begin_reading(&self, deadline: Instant) -> Result<Lease, Fault> {
        let room = Arc::clone(&self.readers.room).acquire_owned();
        let room = timeout_at(deadline, room).await.map_err(|_| busy())?;
        let room = room.map_err(|_| busy())?;
        let idle = self.readers.idle().pop();
        let worker = match idle {
            Some(worker) => worker,
            None => Worker::start(&self.path, self.setup(Access::Read)).await?,
        };
        Ok(Lease::Reader {
            worker: Some(worker),
            readers: Arc::clone(&self.readers),
            _room: room,
        })
    }

    async fn begin_writing(&self, deadline: Instant) -> Result<Lease, Fault> {
        let turn = Arc::clone(&self.writer).lock_owned();
        let mut turn = timeout_at(deadline, turn).await.map_err(|_| busy())?;
        if turn.is_none() {
            *turn = Some(Worker::start(&self.path, self.setup(Access::Change)).await?);
        }
        Ok(Lease::Writer(turn))
    }
}

impl Readers {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn busy() -> Fault {
    Fault::refused(
        FailureKind::Busy,
        "all connections to the database are in use: try again, or raise `connections`",
    )
}

#[async_trait]
impl Engine for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn place(&self) -> &str {
        &self.place
    }

    async fn begin(&self, cx: &Context, access: Access) -> Result<Box<dyn Transaction>, Fault> {
        let (lease, opening) = match access {
            Access::Read => (self.begin_reading(cx.deadline).await?, "BEGIN"),
            Access::Change => (self.begin_writing(cx.deadline).await?, "BEGIN IMMEDIATE"),
        };
        let open = Open {
            lease,
            deadline: cx.deadline,
            statement: self.times.statement,
            ended: false,
        };
        open.batch(opening).await?;
        Ok(Box::new(open))
    }

    fn faults(&self, _: Option<&Path>) -> Vec<String> {
        match self.path.metadata() {
            Ok(metadata) if metadata.is_file() => Vec::new(),
            Ok(_) => vec![format!("{} is no file", self.path.display())],
            Err(error) => vec![format!("cannot open {}: {error}", self.path.display())],
        }
    }

    async fn close(&self) {
        self.readers.idle().clear();
        *self.writer.lock().await = None;
    }
}

/// A connection for as long as a transaction needs it.
enum Lease {
    Writer(OwnedMutexGuard<Option<Worker>>),
    Reader {
        /// There until the lease ends.
        worker: Option<Worker>,
        readers: Arc<Readers>,
        _room: OwnedSemaphorePermit,
    },
}

impl Lease {
    fn worker(&self) -> Result<&Worker, Fault> {
        let worker = match self {
            Self::Writer(worker) => worker.as_ref(),
            Self::Reader { worker, .. } => worker.as_ref(),
        };
        worker.ok_or_else(|| Fault::cut("the connection is closed"))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Self::Reader {
            worker, readers, ..
        } = self
            && let Some(worker) = worker.take()
        {
            readers.idle().push(worker);
        }
    }
}

/// A transaction under way.
struct Open {
    lease: Lease,
    deadline: Instant,
    statement: std::time::Duration,
    ended: bool,
}

impl Open {
    /// Until when a statement that begins now may run.
    fn limit(&self) -> Instant {
        self.deadline.min(Instant::now() + self.statement)
    }

    async fn batch(&self, sql: &'static str) -> Result<(), Fault> {
        let worker = self.lease.worker()?;
        let work = move |connection: &rusqlite::Connection| {
            connection
                .execute_batch(sql)
                .map_err(|error| fault::of(&error))
        };
        worker.run(self.limit(), work).await
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Ok(worker) = self.lease.worker() {
            // Comes before whatever the next transaction does. Where there is none to roll back,
            // the error says so, and nothing else.
            let _ = worker.begin(|connection| {
                let _ = connection.execute_batch("ROLLBACK");
            });
        }
    }
}

#[async_trait]
impl Transaction for Open {
    async fn describe(&mut self, sql: &str, lists: &[String]) -> Result<Vec<Column>, Fault> {
        let (sql, lists) = (sql.to_owned(), lists.to_vec());
        let work = move |connection: &rusqlite::Connection| {
            let statement = connection
                .prepare(&sql)
                .map_err(|error| fault::of(&error))?;
            Ok(value::columns(&statement, &lists))
        };
        self.lease.worker()?.run(self.limit(), work).await
    }

    async fn execute(&mut self, sql: &str, params: &[Param]) -> Result<u64, Fault> {
        let (sql, params) = (sql.to_owned(), params.to_vec());
        let work = move |connection: &rusqlite::Connection| {
            execute(connection, &sql, &params).map_err(|error| fault::of(&error))
        };
        self.lease.worker()?.run(self.limit(), work).await
    }

    async fn open(
        &mut self,
        sql: &str,
        params: &[Param],
        columns: &[Column],
    ) -> Result<Box<dyn Rows>, Fault> {
        let (sql, params, columns) = (sql.to_owned(), params.to_vec(), columns.to_vec());
        let (sender, rows) = mpsc::channel(AHEAD);
        self.lease.worker()?.begin(move |connection| {
            let ended = read(connection, &sql, &params, &columns, &sender);
            if let Err(fault) = ended {
                // Nobody reads any more: then nobody misses it.
                let _ = sender.blocking_send(Err(fault));
            }
        })?;
        Ok(Box::new(Reading {
            rows,
            limit: self.limit(),
        }))
    }

    async fn execute_then_read(
        &mut self,
        sql: &str,
        params: &[Param],
        then: &Query,
        most: usize,
    ) -> Result<(u64, Result<Vec<Row>, Fault>), Fault> {
        let rows = self.execute(sql, params).await?;
        let Query {
            sql,
            params,
            columns,
        } = then;
        Ok((rows, few(self, sql, params, columns, most).await))
    }

    async fn commit(mut self: Box<Self>) -> Result<(), Fault> {
        // What the thread does, it does to its end: its answer is always certain.
        let work = |connection: &rusqlite::Connection| {
            let committed = connection.execute_batch("COMMIT");
            if committed.is_err() && !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
            committed.map_err(|error| fault::of(&error))
        };
        let committed = self.lease.worker()?.run(self.deadline, work).await;
        self.ended = true;
        committed
    }

    async fn commit_noted(mut self: Box<Self>, note: &Note) -> Result<bool, Unfinished> {
        match self.execute(&note.sql, &note.params).await {
            Ok(1) => {
                let committed = self.commit().await;
                committed.map(|()| true).map_err(Unfinished::at_commit)
            }
            Ok(_) => {
                self.rollback().await;
                Ok(false)
            }
            Err(fault) => {
                self.rollback().await;
                Err(Unfinished::before(fault))
            }
        }
    }

    async fn rollback(mut self: Box<Self>) {
        // Where there is nothing to roll back any more, it has been.
        let _ = self.batch("ROLLBACK").await;
        self.ended = true;
    }

    async fn version(&mut self) -> Result<String, Fault> {
        Ok(format!("SQLite {}", rusqlite::version()))
    }
}

/// Rows on their way.
struct Reading {
    rows: mpsc::Receiver<Result<Row, Fault>>,
    limit: Instant,
}

#[async_trait]
impl Rows for Reading {
    async fn next(&mut self) -> Result<Option<Row>, Fault> {
        let next = timeout_at(self.limit, self.rows.recv()).await;
        next.map_err(|_| Fault::late())?.transpose()
    }
}

fn execute(
    connection: &rusqlite::Connection,
    sql: &str,
    params: &[Param],
) -> Result<u64, rusqlite::Error> {
    connection.set_prepared_statement_cache_capacity(PREPARED);
    let mut statement = connection.prepare_cached(sql)?;
    let params = rusqlite::params_from_iter(params);
    if statement.column_count() == 0 {
        let changed = statement.execute(params)?;
        return Ok(u64::try_from(changed).unwrap_or(u64::MAX));
    }
    let mut rows = statement.query(params)?;
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn read(
    connection: &rusqlite::Connection,
    sql: &str,
    params: &[Param],
    columns: &[Column],
    sender: &mpsc::Sender<Result<Row, Fault>>,
) -> Result<(), Fault> {
    connection.set_prepared_statement_cache_capacity(PREPARED);
    let mut statement = connection
        .prepare_cached(sql)
        .map_err(|error| fault::of(&error))?;
    let params = rusqlite::params_from_iter(params);
    let mut rows = statement.query(params).map_err(|error| fault::of(&error))?;
    while let Some(row) = rows.next().map_err(|error| fault::of(&error))? {
        let row = value::row(row, columns)?;
        if sender.blocking_send(Ok(row)).is_err() {
            break;
        }
    }
    Ok(())
}
