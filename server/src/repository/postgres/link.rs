//! A connection, driven by the thread that has it: whoever asks waits for the answer.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::error::Severity;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Error, SimpleQueryMessage, Socket, Statement};

use super::connect::Found;
use super::dialect;
use super::fault::{self, Fault};
use crate::repository::RepositoryError;
use crate::repository::lineage::Lineage;
use crate::repository::sql::Value;

/// How long an answer may take to go on: a database that stands still is one that is away.
const ANSWER: Duration = Duration::from_secs(20);
/// How long all hosts together may take to connect to.
const CONNECT: Duration = Duration::from_secs(15);
/// Statements that a connection keeps prepared at most.
const STATEMENTS: usize = 512;

/// A connection. To drop it closes the socket, whatever the database is doing.
pub(super) struct Link {
    /// Of this thread alone: what answers is polled while somebody waits for it.
    runtime: Runtime,
    client: Client,
    statements: HashMap<String, Statement>,
    /// Warnings that came since it was made.
    warnings: Arc<AtomicU32>,
    /// How long an answer may take.
    patience: Duration,
    /// Which database it is to.
    lineage: Lineage,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// [`RepositoryError::Away`], `Unsuitable`.
    pub(super) fn connect<T>(config: &Config, tls: T, place: &str) -> Result<Self, RepositoryError>
    where
        T: MakeTlsConnect<Socket, Stream: Send + 'static>,
        T::TlsConnect: TlsConnect<Socket, Future: Send>,
    {
        let away = |reason: String| RepositoryError::Away {
            place: place.to_owned(),
            reason,
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| away(error.to_string()))?;
        let connecting = async { tokio::time::timeout(CONNECT, config.connect(tls)).await };
        let (client, mut connection) = match runtime.block_on(connecting) {
            Ok(connected) => connected.map_err(|error| fault::of_connecting(place, &error))?,
            Err(_) => return Err(away("it did not answer in time".to_owned())),
        };
        let warnings = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&warnings);
        // The texts of notices are dropped: they may repeat values.
        runtime.spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message
                    && notice.parsed_severity() == Some(Severity::Warning)
                {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self {
            runtime,
            client,
            statements: HashMap::new(),
            warnings,
            patience: ANSWER,
            lineage: Lineage {
                system: 0,
                timeline: 0,
            },
        })
    }

    /// The same, of which it is known that it is to this database.
    pub(super) fn to(self, lineage: Lineage) -> Self {
        Self { lineage, ..self }
    }

    /// Which database it is to.
    pub(super) const fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// The same, of which no answer may take longer than this.
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Waits for what the connection answers.
    pub(super) fn wait<T>(
        &self,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Fault> {
        let answered = async { tokio::time::timeout(self.patience, asked).await };
        match self.runtime.block_on(answered) {
            Ok(answer) => answer.map_err(|error| fault::of(&error)),
            Err(_) => Err(Fault::Lost("it did not answer in time".to_owned())),
        }
    }

    /// What asks.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// How many warnings came.
    pub(super) fn warnings(&self) -> u32 {
        self.warnings.load(Ordering::Relaxed)
    }

    /// Carries out statements without values.
    pub(super) fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.wait(self.client.batch_execute(sql))
    }

    /// As [`Self::batch`], for as long as it takes.
    pub(super) fn batch_long(&self, sql: &str) -> Result<(), Fault> {
        let done = self.runtime.block_on(self.client.batch_execute(sql));
        done.map_err(|error| fault::of(&error))
    }

    /// What the database says of itself.
    pub(super) fn settings(&self) -> Result<Found, Fault> {
        let row = self.row(
            "SELECT current_setting('server_version_num'), current_setting('server_encoding'),
                (SELECT system_identifier FROM pg_control_system()),
                CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END",
        )?;
        let [version, encoding, system, timeline] = row.as_slice() else {
            return Err(Fault::Lost("it says nothing of itself".to_owned()));
        };
        let version = version.parse();
        // The control file tells a new timeline only after the checkpoint that follows a promotion.
        let (Ok(system), Ok(timeline)) = (system.parse(), u32::from_str_radix(timeline, 16)) else {
            return Err(Fault::Lost("it is no primary".to_owned()));
        };
        Ok(Found {
            lineage: Lineage { system, timeline },
            version: version.map_err(|_| Fault::Lost("it has no version".to_owned()))?,
            encoding: encoding.clone(),
        })
    }

    /// The process of the database that serves this connection now.
    pub(super) fn process(&self) -> Result<Vec<String>, Fault> {
        self.row("SELECT pg_backend_pid()")
    }

    /// The first row that a statement without values gives, as texts.
    fn row(&self, sql: &str) -> Result<Vec<String>, Fault> {
        let rows = self.wait(self.client.simple_query(sql))?;
        let row = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let columns = (0..row.len()).map(|index| row.get(index));
                Some(columns.map(|text| text.unwrap_or_default().to_owned()))
            }
            _ => None,
        });
        Ok(row.map(Iterator::collect).unwrap_or_default())
    }

    /// A statement that is prepared for these values.
    pub(super) fn prepared(&mut self, sql: &str, params: &[Value<'_>]) -> Result<Statement, Fault> {
        let name = dialect::name(sql, params);
        if let Some(statement) = self.statements.get(&name) {
            return Ok(statement.clone());
        }
        let text = dialect::statement(sql, params);
        let types = dialect::types(params);
        let statement = self.wait(self.client.prepare_typed(&text, &types))?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(name, statement.clone());
        Ok(statement)
    }
}

/// Waits, on a thread that drives a connection.
#[expect(
    clippy::disallowed_methods,
    reason = "the thread is the engine's own: no runtime of others stands still meanwhile"
)]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}
