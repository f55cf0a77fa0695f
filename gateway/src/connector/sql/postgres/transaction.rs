//! One transaction of PostgreSQL.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, RowStream, Statement};
use tonic::async_trait;

use super::super::engine::{
    Cause, Column, Fault, Note, Param, Query, Row, Rows, Take, Transaction, Unfinished, few,
    gathered, text_column,
};
use super::connect::Connection;
use super::fault;
use super::pool::{Joining, Pool};
use super::value::{self, Sent};

/// Statements that are kept of one connection. Those of the configuration are fewer.
const MOST_KEPT: usize = 256;

/// Where PostgreSQL says that a statement it keeps would answer with other columns than before.
const OUTDATED: &str = "RevalidateCachedQuery";

/// What came of a note: how many rows it answered with.
type Noted = Result<Result<u64, Error>, Elapsed>;

/// A transaction under way. Dropped, it takes its connection with it: the server rolls back.
pub(super) struct Open {
    pub(super) connection: Connection,
    pub(super) deadline: Instant,
    pub(super) pool: Arc<Pool>,
    /// Whether the database keeps statements for the next transaction on this connection.
    pub(super) keeps: bool,
    pub(super) room: OwnedSemaphorePermit,
}

impl Open {
    async fn end(self, with: &str) -> Result<(), Fault> {
        in_time(self.deadline, self.connection.client.batch_execute(with)).await?;
        self.give_back();
        Ok(())
    }

    /// Sends `note`, where there is one, and then what ends it for good, which is not waited for in
    /// between. Where a call waits for a connection, and for no other that is on its way to it, its
    /// own transaction begins on the same way there and back. Answers what came of both.
    async fn end_for_good(
        mut self,
        note: Option<(Option<Statement>, &str, &[Param])>,
        with: &str,
    ) -> (Noted, Result<(), Fault>) {
        let joining = match self.keeps {
            true => self.pool.join(),
            false => None,
        };
        let (client, deadline) = (&self.connection.client, self.deadline);
        let unsent = AtomicBool::new(false);
        let noting = async {
            match note {
                None => Ok(Ok(0)),
                Some((kept, sql, params)) => {
                    let noting = execute(client, kept.as_ref(), sql, params);
                    let noted = timeout_at(deadline, noting).await;
                    let answered = |error: &Error| error.as_db_error().is_some();
                    unsent.store(
                        matches!(&noted, Ok(Err(error)) if !answered(error)),
                        Relaxed,
                    );
                    noted
                }
            }
        };
        let beginning = async {
            match &joining {
                None => Ok(()),
                Some(_) => in_time(deadline, client.batch_execute("BEGIN")).await,
            }
        };
        let ending = async {
            // A note whose values do not fit its columns has failed by now: it is not sent.
            let with = if unsent.load(Relaxed) {
                "ROLLBACK"
            } else {
                with
            };
            in_time(deadline, client.batch_execute(with)).await
        };
        let (noted, ended, begun) = tokio::join!(biased; noting, ending, beginning);
        // One on which none could be begun is of no use.
        if ended.is_ok() && begun.is_ok() {
            self.connection.ahead = joining.map(Joining::begun);
            self.give_back();
        }
        (noted, ended)
    }

    fn give_back(self) {
        self.pool.put(self.connection);
        drop(self.room);
    }

    /// The statement as the database has read it, if it is kept.
    async fn kept(&mut self, sql: &str) -> Result<Option<Statement>, Fault> {
        let kept = &self.connection.kept;
        if let Some(known) = kept.get(sql) {
            return Ok(Some(known.clone()));
        }
        if !self.keeps || kept.len() >= MOST_KEPT {
            return Ok(None);
        }
        let prepared = in_time(self.deadline, self.connection.client.prepare(sql)).await?;
        let kept = &mut self.connection.kept;
        kept.insert(sql.to_owned(), prepared.clone());
        Ok(Some(prepared))
    }

    /// The fault behind an error of a statement. Where it is that a kept one no longer fits the
    /// tables, none is kept, and the transaction can be begun again.
    fn fault_of(&mut self, error: Result<Error, Elapsed>) -> Fault {
        let Ok(error) = error else {
            return Fault::late();
        };
        let fault = fault::of(&error);
        let routine = error.as_db_error().and_then(DbError::routine);
        if routine != Some(OUTDATED) || self.connection.kept.is_empty() {
            return fault;
        }
        self.connection.kept.clear();
        Fault {
            cause: Cause::Again,
            ..fault
        }
    }
}

/// Runs a statement; as it is kept, if it is.
async fn execute(
    client: &Client,
    kept: Option<&Statement>,
    sql: &str,
    params: &[Param],
) -> Result<u64, Error> {
    if let Some(statement) = kept {
        return client.execute_raw(statement, params.iter().map(Sent)).await;
    }
    let sent: Vec<_> = params.iter().map(Sent).collect();
    let sent: Vec<(&(dyn ToSql + Sync), Type)> = sent
        .iter()
        .map(|sent| (sent as _, value::unknown()))
        .collect();
    client.execute_typed(sql, &sent).await
}

/// Begins to read; as the statement is kept, if it is.
async fn open(
    client: &Client,
    kept: Option<&Statement>,
    sql: &str,
    params: &[Param],
) -> Result<RowStream, Error> {
    if let Some(statement) = kept {
        return client.query_raw(statement, params.iter().map(Sent)).await;
    }
    let sent = params.iter().map(|param| (Sent(param), value::unknown()));
    client.query_typed_raw(sql, sent.collect::<Vec<_>>()).await
}

#[async_trait]
impl Transaction for Open {
    async fn describe(&mut self, sql: &str, _: &[String]) -> Result<Vec<Column>, Fault> {
        let prepared = in_time(self.deadline, self.connection.client.prepare(sql)).await?;
        let columns = prepared.columns().iter();
        Ok(columns
            .map(|column| value::column(column.name(), column.type_()))
            .collect())
    }

    async fn execute(&mut self, sql: &str, params: &[Param]) -> Result<u64, Fault> {
        let kept = self.kept(sql).await?;
        let executing = execute(&self.connection.client, kept.as_ref(), sql, params);
        let executed = timeout_at(self.deadline, executing).await;
        settled(executed).map_err(|error| self.fault_of(error))
    }

    async fn open(
        &mut self,
        sql: &str,
        params: &[Param],
        columns: &[Column],
    ) -> Result<Box<dyn Rows>, Fault> {
        let kept = self.kept(sql).await?;
        let opening = open(&self.connection.client, kept.as_ref(), sql, params);
        let opened = timeout_at(self.deadline, opening).await;
        let rows = settled(opened).map_err(|error| self.fault_of(error))?;
        Ok(Box::new(Reading {
            rows: Box::pin(rows),
            columns: columns.to_vec(),
            deadline: self.deadline,
        }))
    }

    /// Both are on their way before the first is answered: one way there and back. The server runs
    /// them in this order, and after a failure runs nothing more in this transaction.
    async fn execute_then_read(
        &mut self,
        sql: &str,
        params: &[Param],
        then: &Query,
        most: usize,
    ) -> Result<(u64, Result<Vec<Row>, Fault>), Fault> {
        let first = self.kept(sql).await?;
        let second = self.kept(&then.sql).await?;
        let client = &self.connection.client;
        let executing = execute(client, first.as_ref(), sql, params);
        let opening = open(client, second.as_ref(), &then.sql, &then.params);
        let (executed, opened) = tokio::join!(
            biased;
            timeout_at(self.deadline, executing),
            timeout_at(self.deadline, opening)
        );
        let count = settled(executed).map_err(|error| self.fault_of(error))?;
        let rows = match settled(opened).map_err(|error| self.fault_of(error)) {
            Ok(rows) => rows,
            Err(fault) if fault.cause == Cause::Again => return Err(fault),
            Err(fault) => return Ok((count, Err(fault))),
        };
        let rows = Reading {
            rows: Box::pin(rows),
            columns: then.columns.clone(),
            deadline: self.deadline,
        };
        Ok((count, gathered(Box::new(rows), most).await))
    }

    async fn commit(self: Box<Self>) -> Result<(), Fault> {
        // In a transaction that has failed COMMIT rolls back, and answers as if nothing had
        // happened; any other statement is refused there, and what comes after it is not run.
        let (_, ended) = self.end_for_good(None, "SELECT 1; COMMIT").await;
        ended
    }

    /// COMMIT is on its way before the note is answered. A note that is there already fails by a
    /// division by zero: as after any other error, COMMIT then rolls back.
    async fn commit_noted(mut self: Box<Self>, note: &Note) -> Result<bool, Unfinished> {
        let sql = format!(
            "WITH noted AS ({} RETURNING 1) SELECT 1 / count(*) FROM noted",
            note.sql
        );
        let kept = self.kept(&sql).await.map_err(Unfinished::before)?;
        let note = (kept, sql.as_str(), note.params.as_slice());
        let (noted, ended) = self.end_for_good(Some(note), "COMMIT").await;
        let error = match settled(noted) {
            Ok(_) => return ended.map(|()| true).map_err(Unfinished::at_commit),
            Err(Ok(error)) => error,
            Err(Err(_)) => return Err(Unfinished::at_commit(Fault::late())),
        };
        match error.code() {
            Some(&SqlState::DIVISION_BY_ZERO) => Ok(false),
            Some(_) => Err(Unfinished::before(fault::of(&error))),
            // It was never sent, and the transaction was rolled back instead.
            None if ended.is_ok() => Err(Unfinished::before(fault::of(&error))),
            None => Err(Unfinished::at_commit(fault::of(&error))),
        }
    }

    async fn rollback(self: Box<Self>) {
        // Where it fails, the connection is gone, and the transaction with it.
        let _ = self.end("ROLLBACK").await;
    }

    async fn version(&mut self) -> Result<String, Fault> {
        let column = text_column("version");
        let sql = "SELECT pg_catalog.current_setting('server_version')";
        let rows = few(self, sql, &[], &[column], 1).await?;
        let version = rows.first().and_then(|row| row.first()?.first()?.as_text());
        Ok(format!(
            "PostgreSQL {}",
            version.unwrap_or("of a version that it does not tell")
        ))
    }
}

/// Rows on their way.
struct Reading {
    rows: Pin<Box<RowStream>>,
    columns: Vec<Column>,
    deadline: Instant,
}

#[async_trait]
impl Rows for Reading {
    async fn next(&mut self) -> Result<Option<Row>, Fault> {
        let next = timeout_at(self.deadline, self.rows.next()).await;
        match next.map_err(|_| Fault::late())? {
            Some(Ok(row)) => value::row(&row, &self.columns).map(Some),
            Some(Err(error)) => Err(fault::of(&error)),
            None => Ok(None),
        }
    }

    async fn each(&mut self, take: &mut Take<'_>) -> Result<bool, Fault> {
        let (rows, columns) = (&mut self.rows, &self.columns);
        let reading = async {
            while let Some(row) = rows.next().await {
                let row = row.map_err(|error| fault::of(&error))?;
                if !take(&value::Borrowed { row, columns })? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let read = timeout_at(self.deadline, reading).await;
        read.map_err(|_| Fault::late())?
    }
}

/// What came of work that had a deadline; or its error, if it was that.
fn settled<T>(ended: Result<Result<T, Error>, Elapsed>) -> Result<T, Result<Error, Elapsed>> {
    match ended {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Ok(error)),
        Err(late) => Err(Err(late)),
    }
}

pub(super) async fn in_time<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    match timeout_at(deadline, work).await {
        Ok(done) => done.map_err(|error| fault::of(&error)),
        Err(_) => Err(Fault::late()),
    }
}
