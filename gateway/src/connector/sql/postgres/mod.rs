//! PostgreSQL: a pool of connections, each verb in a transaction of its own.
//!
//! No statement is prepared for longer than its own run and nothing is set for longer than its
//! transaction, so a pooler may stand between that gives every transaction another connection.

mod bounded;
pub(super) mod connect;
mod fault;
pub(super) mod tls;
mod value;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::Type;
use tokio_postgres::{Error, RowStream};
use tonic::async_trait;

use super::engine::{Access, Column, Engine, Fault, Param, Row, Rows, Transaction};
use super::password::{BindPassword, given};
use super::statement::Dialect;
use crate::connector::Context;
use crate::connector::renewed::Renewed;
use crate::model::{CallError, Failure, FailureKind, Password};
use connect::{Connection, Target};
use value::Sent;

/// How long a connection is used before it makes room for a new one: the server may have got
/// another address or certificate.
const AGE: Duration = Duration::from_secs(30 * 60);

/// SQLSTATE invalid_password.
const WRONG_PASSWORD: &str = "28P01";

/// The advisory lock that a change of the password holds until it has ended.
const RENEWAL: i64 = 0x706f_7274_6375_6c6c;

/// The configuration has one user for all calls.
const USER: &str = "";

/// What the statements of a verb may take, each of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) statement: Duration,
    pub(super) lock: Duration,
}

/// A database of PostgreSQL.
#[derive(Debug)]
pub(super) struct Postgres {
    target: Target,
    place: String,
    password: BindPassword,
    times: Times,
    pool: Arc<Pool>,
    /// Passwords that were changed.
    renewed: Renewed,
}

/// Connections that are not in use, and room for those that are.
struct Pool {
    idle: Mutex<Vec<Connection>>,
    room: Arc<Semaphore>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Postgres {
    pub(super) fn new(
        target: Target,
        password: BindPassword,
        times: Times,
        connections: usize,
    ) -> Self {
        Self {
            place: target.place(),
            target,
            password,
            times,
            renewed: Renewed::default(),
            pool: Arc::new(Pool {
                idle: Mutex::default(),
                room: Arc::new(Semaphore::new(connections)),
            }),
        }
    }

    /// What a transaction begins with.
    fn opening(&self, access: Access, left: Duration) -> String {
        let left = left.as_millis().max(1);
        let statement = self.times.statement.as_millis().min(left);
        let lock = self.times.lock.as_millis().min(left);
        let mode = match access {
            Access::Read => " READ ONLY",
            Access::Change => "",
        };
        format!(
            "BEGIN{mode}; SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}; \
             SET LOCAL idle_in_transaction_session_timeout = {left}; \
             SET LOCAL standard_conforming_strings = on"
        )
    }

    async fn opened(
        &self,
        connection: Connection,
        access: Access,
        deadline: Instant,
    ) -> Result<Connection, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        let opening = self.opening(access, left);
        in_time(deadline, connection.client.batch_execute(&opening)).await?;
        Ok(connection)
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, password: Option<&Password>) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|one| !one.client.is_closed() && one.made.elapsed() < AGE);
        let place = idle.iter().rposition(|one| one.is_of(password))?;
        Some(idle.swap_remove(place))
    }
}

#[async_trait]
impl Engine for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn place(&self) -> &str {
        &self.place
    }

    async fn begin(&self, cx: &Context, access: Access) -> Result<Box<dyn Transaction>, Fault> {
        let deadline = cx.deadline;
        let room = Arc::clone(&self.pool.room).acquire_owned();
        let busy = || {
            let all =
                "all connections to the database are in use: try again, or raise `connections`";
            Fault::refused(FailureKind::Busy, all)
        };
        let room = timeout_at(deadline, room).await;
        let room = room.map_err(|_| busy())?.map_err(|_| busy())?;
        let password = self.password.read(cx)?;
        let password = password.map(|given| self.renewed.current(USER, &given));
        // One that was idle may have been cut without a word; nothing was begun on it.
        if let Some(idle) = self.pool.take(password.as_ref()) {
            match self.opened(idle, access, deadline).await {
                Ok(connection) => return Ok(self.transaction(connection, room, deadline)),
                Err(fault) if Instant::now() >= deadline => return Err(fault),
                Err(_) => {}
            }
        }
        let connection = self.target.connect(password.as_ref(), deadline).await?;
        let connection = self.opened(connection, access, deadline).await?;
        Ok(self.transaction(connection, room, deadline))
    }

    fn faults(&self) -> Vec<String> {
        self.password.fault().into_iter().collect()
    }

    async fn close(&self) {
        self.pool.idle().clear();
    }

    async fn renew_password(&self, cx: &Context, new: &Password) -> Result<(), CallError> {
        if self.target.pooled {
            let message = "a pooler stands between (`pgbouncer = true`), which keeps passwords of its own: change it there and at the database";
            return Err(Failure::unsupported(message).into());
        }
        // What the server is sent, and may log, is not the password (RFC 5803).
        let verifier = postgres_protocol::password::scram_sha_256(new.expose());
        let alter = format!("ALTER ROLE CURRENT_USER PASSWORD '{verifier}'");
        let lock = format!("SELECT pg_catalog.pg_advisory_xact_lock({RENEWAL})");
        let begun = self.begin(cx, Access::Change).await;
        let mut transaction = begun.map_err(Fault::not_committed)?;
        for statement in [&lock, &alter] {
            if let Err(fault) = transaction.execute(statement, &[]).await {
                transaction.rollback().await;
                return Err(fault.not_committed().into());
            }
        }
        transaction.commit().await.map_err(Fault::at_commit)?;
        self.renewed(cx, new);
        Ok(())
    }

    async fn takes_password(&self, cx: &Context, tried: &Password) -> Result<bool, CallError> {
        match self.target.connect(Some(tried), cx.deadline).await {
            Ok(connection) => {
                let wait = format!("SELECT pg_catalog.pg_advisory_xact_lock({RENEWAL})");
                let waited = in_time(cx.deadline, connection.client.batch_execute(&wait)).await;
                waited.map_err(Fault::not_committed)?;
                self.renewed(cx, tried);
                Ok(true)
            }
            Err(fault) if fault.code() == Some(WRONG_PASSWORD) => Ok(false),
            Err(fault) => Err(fault.not_committed().into()),
        }
    }
}

impl Postgres {
    /// Nothing goes on by another password than this one.
    fn renewed(&self, cx: &Context, new: &Password) {
        if let Some(old) = given(cx).filter(|old| *old != new) {
            self.renewed.note(USER, old, new);
            self.pool.idle().clear();
        }
    }

    fn transaction(
        &self,
        connection: Connection,
        room: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> Box<dyn Transaction> {
        Box::new(Open {
            connection,
            deadline,
            pool: Arc::clone(&self.pool),
            _room: room,
        })
    }
}

/// A transaction under way. Dropped, it takes its connection with it: the server rolls back.
struct Open {
    connection: Connection,
    deadline: Instant,
    pool: Arc<Pool>,
    _room: OwnedSemaphorePermit,
}

impl Open {
    async fn end(self, with: &str) -> Result<(), Fault> {
        in_time(self.deadline, self.connection.client.batch_execute(with)).await?;
        self.pool.idle().push(self.connection);
        Ok(())
    }
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
        let sent: Vec<_> = params.iter().map(Sent).collect();
        let sent: Vec<(&(dyn tokio_postgres::types::ToSql + Sync), Type)> = sent
            .iter()
            .map(|sent| (sent as _, value::unknown()))
            .collect();
        in_time(
            self.deadline,
            self.connection.client.execute_typed(sql, &sent),
        )
        .await
    }

    async fn open(
        &mut self,
        sql: &str,
        params: &[Param],
        columns: &[Column],
    ) -> Result<Box<dyn Rows>, Fault> {
        let sent = params.iter().map(|param| (Sent(param), value::unknown()));
        let opening = self
            .connection
            .client
            .query_typed_raw(sql, sent.collect::<Vec<_>>());
        let rows = in_time(self.deadline, opening).await?;
        Ok(Box::new(Reading {
            rows: Box::pin(rows),
            columns: columns.to_vec(),
            deadline: self.deadline,
        }))
    }

    async fn commit(self: Box<Self>) -> Result<(), Fault> {
        // In a transaction that has failed COMMIT rolls back, and answers as if nothing had
        // happened; any other statement is refused there, and what comes after it is not run.
        self.end("SELECT 1; COMMIT").await
    }

    async fn rollback(self: Box<Self>) {
        // Where it fails, the connection is gone, and the transaction with it.
        let _ = self.end("ROLLBACK").await;
    }

    async fn version(&mut self) -> Result<String, Fault> {
        let column = super::engine::text_column("version");
        let sql = "SELECT pg_catalog.current_setting('server_version')";
        let rows = super::engine::few(self, sql, &[], &[column], 1).await?;
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
}

async fn in_time<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    match timeout_at(deadline, work).await {
        Ok(done) => done.map_err(|error| fault::of(&error)),
        Err(_) => Err(Fault::late()),
    }
}
