//! `status`

use clap::ValueEnum;
use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use serde::Serialize;

use super::{CliError, key, say};
use crate::config::{Config, Dial};
use crate::key_store;
use crate::listener::keys::Standing;
use crate::listener::status::{self, Report, SessionReport};
use crate::state_dir::StateDir;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// One JSON object
    Json,
}

/// All that is known from outside.
#[derive(Debug, Serialize)]
struct Status {
    running: bool,
    dials_out: bool,
    address: String,
    key_store: String,
    /// Why the key store cannot be used.
    key_store_error: Option<String>,
    gateway_id: Option<String>,
    active_key_id: Option<String>,
    pending_key_id: Option<String>,
    enrolment_key_id: Option<String>,
    pairing_until_unix_ms: Option<u64>,
    /// From the running gateway, or the last that ran.
    report: Option<Report>,
    #[serde(skip)]
    standing: Option<Standing>,
}

/// Shows what the gateway is doing.
pub(super) fn status(config: &Config, arguments: &Arguments) -> Result<(), CliError> {
    let status = gather(config)?;
    match arguments.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&status)
                .map_err(|error| CliError::Output(error.into()))?;
            say(&text)
        }
        Output::Table => table(&status).iter().try_for_each(|line| say(line)),
    }
}

fn gather(config: &Config) -> Result<Status, CliError> {
    let folder = StateDir::new(&config.state_dir);
    let store = key_store::open(config);
    let (standing, key_store_error) = match store.load() {
        Ok(record) => (Some(Standing::from(&record)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let known = standing.unwrap_or_default();
    let (dials_out, address) = match &config.dial {
        Dial::Listen(address) => (false, address.to_string()),
        Dial::Out { server, .. } => (true, server.clone()),
    };
    Ok(Status {
        running: folder.is_running()?,
        dials_out,
        address,
        key_store: store.location(),
        key_store_error,
        gateway_id: known.gateway_id.map(|id| id.to_string()),
        active_key_id: known.active.map(|id| id.to_string()),
        pending_key_id: known.pending.map(|id| id.to_string()),
        enrolment_key_id: known.enrolment.map(|id| id.to_string()),
        pairing_until_unix_ms: known.pairing_until.map(|until| until.0),
        report: read_report(&folder)?,
        standing,
    })
}

fn read_report(folder: &StateDir) -> Result<Option<Report>, CliError> {
    let Some(bytes) = folder.read(status::FILE, status::MAX_LEN)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| CliError::Status {
            path: folder.path().join(status::FILE),
            message: error.to_string(),
        })
}

fn table(status: &Status) -> Vec<String> {
    let mut lines = vec![running_line(status)];
    lines.push(format!("{:<12} {}", "key store", status.key_store));
    match (&status.standing, &status.key_store_error) {
        (Some(standing), _) => lines.extend(key::describe(standing)),
        (None, Some(error)) => lines.push(format!("{:<12} {error}", "problem")),
        (None, None) => {}
    }
    let Some(report) = &status.report else {
        return lines;
    };
    if status.running {
        lines.extend(
            report
                .sessions
                .iter()
                .map(|session| session_line("session", session)),
        );
    }
    if !status.running || report.sessions.is_empty() {
        let last = report.last_session.as_ref();
        lines.extend(last.map(|session| session_line("last session", session)));
    }
    if let Some(error) = &report.last_error {
        let at = clock::text(UnixMillis(error.at_unix_ms));
        lines.push(format!("{:<12} {at}: {}", "last error", error.message));
    }
    lines
}

fn running_line(status: &Status) -> String {
    let (address, since) = match (&status.report, status.running) {
        (Some(report), true) => (
            &report.address,
            format!(
                ", process {}, since {}",
                report.pid,
                clock::text(UnixMillis(report.started_unix_ms))
            ),
        ),
        _ => (&status.address, String::new()),
    };
    let how = match (status.running, status.dials_out) {
        (true, false) => "running, listening on",
        (true, true) => "running, dialling",
        (false, false) => "not running; would listen on",
        (false, true) => "not running; would dial",
    };
    format!("{:<12} {how} {address}{since}", "gateway")
}

fn session_line(what: &str, session: &SessionReport) -> String {
    format!(
        "{what:<12} {} with {} at {}, {} mode, {}, under {}, since {}",
        session.session,
        session.server_id,
        session.peer,
        session.mode,
        session.suite,
        session.key_id,
        clock::text(UnixMillis(session.since_unix_ms)),
    )
}
