//! PostgreSQL: a pool of connections, each verb in a transaction of its own.
//!
//! Where a pooler may stand between that gives every transaction another connection, no statement
//! is prepared for longer than its own run and nothing is set for longer than its transaction.
//! Where none can, the statements of changes are kept as the database has read them, what they may
//! take is set once, and where a call waits for a connection, its transaction is begun with the
//! COMMIT of the one before: a change then costs the database little more than its own statements.

mod bounded;
pub(super) mod connect;
mod fault;
mod pool;
pub(super) mod tls;
mod transaction;
mod value;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::async_trait;

use super::engine::{Access, Engine, Fault, Transaction};
use super::password::{BindPassword, given};
use super::statement::Dialect;
use crate::connector::Context;
use crate::connector::own_log_ins::{NotTried, OwnLogIns};
use crate::connector::renewed::Renewed;
use crate::model::{CallError, Failure, FailureKind, Password};
use connect::{Connection, Target};
use pool::Pool;
use transaction::{Open, in_time};

/// How long a transaction that was begun ahead of its call may wait for it: what the database takes
/// for the time of the change is that of its beginning.
const AHEAD: Duration = Duration::from_millis(50);

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
    /// Which passwords are tried: the server may ask a directory that locks accounts.
    log_ins: OwnLogIns,
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
            log_ins: OwnLogIns::default(),
            pool: Arc::new(Pool::new(connections)),
        }
    }

    /// Whether statements and settings outlast a transaction.
    fn keeps(&self, access: Access) -> bool {
        access == Access::Change && self.target.is_session()
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
             SET LOCAL standard_conforming_strings = on; SET LOCAL datestyle = 'ISO'"
        )
    }

    /// What changes on this connection may take, from now on. What a transaction may wait for the
    /// gateway is rounded up, so that it is seldom set anew.
    fn session(&self, left: Duration) -> String {
        let statement = self.times.statement.min(left).as_millis().max(1);
        let lock = self.times.lock.min(left).as_millis().max(1);
        let idle = left.as_secs().max(1).next_power_of_two();
        format!(
            "SET statement_timeout = {statement}; SET lock_timeout = {lock}; \
             SET idle_in_transaction_session_timeout = '{idle}s'; SET standard_conforming_strings = on"
        )
    }

    async fn opened(
        &self,
        mut connection: Connection,
        access: Access,
        deadline: Instant,
    ) -> Result<Connection, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        let ahead = connection.ahead.take().map(|ahead| ahead.since);
        let keeps = self.keeps(access);
        let session = self.session(left);
        let same = keeps && connection.session == session;
        if same && ahead.is_some_and(|begun| begun.elapsed() < AHEAD) {
            return Ok(connection);
        }
        let mut opening = ahead.map_or_else(String::new, |_| "ROLLBACK; ".to_owned());
        match (keeps, same) {
            (true, true) => opening.push_str("BEGIN"),
            (true, false) => {
                opening.push_str(&session);
                in_time(deadline, connection.client.batch_execute(&opening)).await?;
                connection.session = session;
                opening.replace_range(.., "BEGIN");
            }
            (false, _) => opening.push_str(&self.opening(access, left)),
        }
        in_time(deadline, connection.client.batch_execute(&opening)).await?;
        Ok(connection)
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
        let busy = || {
            let all =
                "all connections to the database are in use: try again, or raise `connections`";
            Fault::refused(FailureKind::Busy, all)
        };
        let room = self.pool.wait(deadline).await.ok_or_else(busy)?;
        let password = self.password.read(cx)?;
        let password = password.map(|given| self.renewed.current(USER, &given));
        // One that was idle may have been cut without a word; nothing was begun on it.
        if let Some(idle) = self.pool.take(password.as_ref()) {
            match self.opened(idle, access, deadline).await {
                Ok(connection) => {
                    return Ok(self.transaction(connection, room, (access, deadline)));
                }
                Err(fault) if Instant::now() >= deadline => return Err(fault),
                Err(_) => {}
            }
        }
        let connection = self.connect(password.as_ref(), deadline).await?;
        let connection = self.opened(connection, access, deadline).await?;
        Ok(self.transaction(connection, room, (access, deadline)))
    }

    fn faults(&self, owner_of: Option<&Path>) -> Vec<String> {
        let of_file = self.password.fault(owner_of).into_iter();
        of_file.chain(self.log_ins.faults()).collect()
    }

    fn try_again(&self) {
        self.log_ins.try_again(USER);
    }

    async fn close(&self) {
        self.pool.clear();
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
    /// Connects, unless the password was refused a short while ago. One after the other: where it
    /// was changed at the database, one connection finds out for all.
    async fn connect(
        &self,
        password: Option<&Password>,
        deadline: Instant,
    ) -> Result<Connection, Fault> {
        let Some(password) = password else {
            return self.target.connect(None, deadline).await;
        };
        let log_in = self.log_ins.begin(USER, password, deadline).await;
        let log_in = log_in.map_err(|why| match why {
            NotTried::Late => Fault::late(),
            NotTried::Refused(text) => Fault::refused(FailureKind::Denied, text),
        })?;
        let connected = self.target.connect(Some(password), deadline).await;
        match &connected {
            Ok(_) => log_in.taken(),
            Err(fault) if fault.code() == Some(WRONG_PASSWORD) => log_in.refused(&fault.message),
            Err(_) => {}
        }
        connected
    }

    /// Nothing goes on by another password than this one.
    fn renewed(&self, cx: &Context, new: &Password) {
        self.log_ins.forget(USER);
        if let Some(old) = given(cx).filter(|old| *old != new) {
            self.renewed.note(USER, old, new);
            self.pool.clear();
        }
    }

    fn transaction(
        &self,
        connection: Connection,
        room: OwnedSemaphorePermit,
        (access, deadline): (Access, Instant),
    ) -> Box<dyn Transaction> {
        Box::new(Open {
            connection,
            deadline,
            pool: Arc::clone(&self.pool),
            keeps: self.keeps(access),
            room,
        })
    }
}
