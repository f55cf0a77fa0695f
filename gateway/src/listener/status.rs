//! What `portcullis-gateway status` shows of a running gateway: a file in the state folder,
//! replaced at every change.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_host::clock;
use portcullis_host::text::printable;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task;
use tracing::warn;

use super::links::{Link, Links};
use crate::state_dir::StateDir;

/// The file's name.
pub const FILE: &str = "status.json";
/// More than any report has: what is longer is not read.
pub const MAX_LEN: usize = 64 * 1024;
/// Changes that follow each other faster are written together.
const PAUSE: Duration = Duration::from_millis(100);

/// What a running gateway reports of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The program's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started: milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Does it dial the server, or listen to be dialled?
    pub dials_out: bool,
    /// Where it listens, or whom it dials.
    pub address: String,
    /// The live sessions, oldest first.
    pub sessions: Vec<SessionReport>,
    /// The session that was opened last.
    pub last_session: Option<SessionReport>,
    /// What last went wrong.
    pub last_error: Option<ErrorReport>,
    /// What came of reading the configuration again, where that was asked for.
    #[serde(default)]
    pub reload: Option<ReloadReport>,
}

/// What came of reading the configuration again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Milliseconds since 1970.
    pub at_unix_ms: u64,
    /// What `portcullis-gateway reload` named its request; empty: a signal asked.
    pub request: String,
    /// What is wrong, each with file, line and key: what held before holds on.
    pub problems: Vec<String>,
    /// It holds on in the workers that `problems` names alone: the other processes have reloaded.
    #[serde(default)]
    pub partly: bool,
    /// What changed.
    pub changes: Vec<String>,
    /// Keys whose change waits for a restart.
    pub restart: Vec<String>,
    /// What calls will fail of as the host now is.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Its name in the logs of both sides.
    pub session: String,
    /// The server.
    pub server_id: String,
    /// The key that authenticated it.
    pub key_id: String,
    /// How it was authenticated.
    pub mode: String,
    /// How its records are protected.
    pub suite: String,
    /// The address of the other end.
    pub peer: String,
    /// When it was opened: milliseconds since 1970.
    pub since_unix_ms: u64,
    /// Whether there is TLS around it.
    #[serde(default)]
    pub tls: bool,
}

/// What went wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// Milliseconds since 1970.
    pub at_unix_ms: u64,
    /// As it stands in the log.
    pub message: String,
}

impl From<&Link> for SessionReport {
    fn from(link: &Link) -> Self {
        Self {
            session: link.name(),
            server_id: link.info.server_id.to_string(),
            key_id: link.info.key_id.to_string(),
            mode: link.info.mode.to_string(),
            suite: link.info.suite.to_string(),
            peer: link.peer.clone(),
            since_unix_ms: link.since.0,
            tls: link.tls,
        }
    }
}

/// Where the running gateway notes what happens.
#[derive(Debug)]
pub struct StatusBoard {
    report: Mutex<Report>,
    changed: watch::Sender<()>,
}

impl StatusBoard {
    /// Of a gateway that starts now, and dials or is dialled at `address`.
    pub fn new(dials_out: bool, address: String) -> Self {
        Self {
            report: Mutex::new(Report {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                started_unix_ms: clock::now().0,
                dials_out,
                address,
                sessions: Vec::new(),
                last_session: None,
                last_error: None,
                reload: None,
            }),
            changed: watch::Sender::new(()),
        }
    }

    /// Notes a session that was just opened.
    pub fn opened(&self, link: &Link) {
        self.change(|report| report.last_session = Some(link.into()));
    }

    /// Notes what went wrong.
    pub fn failed(&self, message: &str) {
        self.change(|report| {
            report.last_error = Some(ErrorReport {
                at_unix_ms: clock::now().0,
                message: message.to_owned(),
            });
        });
    }

    /// Notes what came of reading the configuration again.
    pub fn reloaded(&self, reload: ReloadReport) {
        self.change(|report| report.reload = Some(reload));
    }

    /// What last went wrong.
    pub fn last_error(&self) -> Option<ErrorReport> {
        self.report().last_error.clone()
    }

    /// Whether the configuration that was read last is the one that holds.
    pub fn configuration_sound(&self) -> bool {
        let report = self.report();
        let reload = report.reload.as_ref();
        reload.is_none_or(|reload| reload.problems.is_empty())
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report());
        self.changed.send_replace(());
    }

    fn now(&self, links: &Links) -> Report {
        let mut report = self.report().clone();
        report.sessions = links.list().iter().map(|link| (&**link).into()).collect();
        report
    }

    /// Writes the file now and at every change, for ever. A failure is logged once and tried again
    /// at the next change.
    pub async fn write_changes(&self, links: &Links, folder: &StateDir) {
        let mut noted = self.changed.subscribe();
        let mut counted = links.changes();
        let mut failed = false;
        loop {
            let written = write(folder, &self.now(links)).await;
            if let Err(error) = &written
                && !failed
            {
                warn!("the status file is not up to date: {error}");
            }
            failed = written.is_err();
            tokio::time::sleep(PAUSE).await;
            // Neither sender goes away while both are borrowed.
            let _ = tokio::select! {
                changed = noted.changed() => changed,
                changed = counted.changed() => changed,
            };
        }
    }
}

impl Report {
    /// What a status file says. It may be in the hands of another user than whoever looks at it:
    /// nothing of it steers a terminal.
    ///
    /// # Errors
    /// It is no report.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut value = serde_json::from_slice(bytes)?;
        make_printable(&mut value);
        serde_json::from_value(value)
    }
}

fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => *text = printable(text),
        Value::Array(items) => items.iter_mut().for_each(make_printable),
        Value::Object(fields) => fields.values_mut().for_each(make_printable),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

async fn write(folder: &StateDir, report: &Report) -> Result<(), String> {
    let bytes = serde_json::to_vec_pretty(report).map_err(|error| error.to_string())?;
    let folder = folder.clone();
    task::spawn_blocking(move || folder.replace(FILE, &bytes))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}
