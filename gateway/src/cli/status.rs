//! `status`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use portcullis_tls::Expiry;
use serde::Serialize;

use super::{CliError, journal as journal_verb, key, reload, say};
use crate::config::{Config, Dial};
use crate::connectors::Connectors;
use crate::journal::{self, Shown};
use crate::key_store::{self, KeyStoreError};
use crate::listener::keys::Standing;
use crate::listener::status::{self, Report, SessionReport};
use crate::state_dir::StateDir;
use crate::worker::processes;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// End with a code that says how it is: 0 running and linked with the server, 1 something is
    /// wrong (it is shown), 4 running without a link, 5 not running, 6 no key and no token
    #[arg(long)]
    check: bool,
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
    /// What keeps the gateway, or a part of it, from working.
    faults: Vec<String>,
    /// What should be known of its configuration all the same.
    notes: Vec<String>,
    /// The files of `[tls]`, and until when each is valid; none without TLS.
    tls: Vec<TlsFile>,
    /// The journal of calls; none before the first start, or where workers have theirs.
    journal: Option<Shown>,
    /// The workers of a gateway in processes.
    workers: Vec<Worker>,
    /// There is no key store yet.
    #[serde(skip)]
    never_enrolled: bool,
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

/// A worker that has connectors.
#[derive(Debug, Serialize)]
struct Worker {
    kind: &'static str,
    running: bool,
    /// It runs, and answers; true where this user may not ask.
    answers: bool,
    /// None before its first start.
    journal: Option<Shown>,
}

/// A file of `[tls]`.
#[derive(Debug, Serialize)]
struct TlsFile {
    what: &'static str,
    path: PathBuf,
    valid_until_unix_ms: u64,
}

/// Shows what the gateway is doing.
pub(super) fn status(config: &Config, arguments: &Arguments) -> Result<ExitCode, CliError> {
    let status = gather(config)?;
    let shown = match arguments.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&status)
                .map_err(|error| CliError::Output(error.into()))?;
            say(&text)
        }
        Output::Table => table(&status).iter().try_for_each(|line| say(line)),
    };
    if !arguments.check {
        return shown.map(|()| ExitCode::SUCCESS);
    }
    // The code keeps its word, whether or not anybody reads the text.
    Ok(ExitCode::from(status.code()))
}

impl Status {
    fn code(&self) -> u8 {
        let known = self.standing.unwrap_or_default();
        let linked = self
            .report
            .as_ref()
            .is_some_and(|report| !report.sessions.is_empty());
        if self.never_enrolled || (self.standing.is_some() && known == Standing::default()) {
            6
        } else if !self.faults.is_empty() || self.key_store_error.is_some() {
            1
        } else if !self.running {
            5
        } else if linked {
            0
        } else {
            4
        }
    }
}

/// What is wrong with the configuration, as it was last read again and as it is now, and with what
/// its connectors need.
fn faults(config: &Config, report: Option<&Report>) -> (Vec<String>, Vec<String>) {
    let reload = report.and_then(|report| report.reload.as_ref());
    let mut faults = reload.map_or_else(Vec::new, |reload| reload.problems.clone());
    let mut notes = Vec::new();
    match Connectors::from_config(&config.connectors) {
        Ok(connectors) => {
            let found = connectors.inspect_of(config);
            faults.extend(found.faults);
            notes.extend(found.notes);
        }
        Err(problems) => {
            for problem in problems.iter().map(ToString::to_string) {
                if !faults.contains(&problem) {
                    faults.push(problem);
                }
            }
        }
    }
    (faults, notes)
}

fn gather(config: &Config) -> Result<Status, CliError> {
    let folder = StateDir::of(config);
    let store = key_store::open(config);
    let loaded = store.load();
    let never_enrolled = matches!(loaded, Err(KeyStoreError::NeverCreated { .. }));
    let (standing, key_store_error) = match loaded {
        Ok(record) => (Some(Standing::from(&record)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let running = folder.is_running()?;
    let report = read_report(&folder)?;
    let (mut faults, notes) = faults(config, report.as_ref().filter(|_| running));
    let (mut journal, mut workers) = (None, Vec::new());
    for (worker, folder) in StateDir::with_journals(config) {
        let shown = journal::show(&folder)?;
        faults.extend(shown.iter().filter_map(|shown| shown.fault.clone()));
        let Some(kind) = worker else {
            journal = shown;
            continue;
        };
        let alive = folder.is_running()?;
        if running && !alive {
            faults.push(format!(
                "the worker `{kind}` is not running: `systemctl status {}` says why",
                kind.unit(&config.instance)
            ));
        }
        let silence = config.workers.as_ref().filter(|_| alive);
        let silence = silence.and_then(|workers| processes::silence(&workers.of(kind).socket));
        faults.extend(silence.iter().map(|why| {
            let unit = kind.unit(&config.instance);
            format!("the worker `{kind}` is running, and {why}: `systemctl restart {unit}`")
        }));
        workers.push(Worker {
            kind: kind.name(),
            running: alive,
            answers: alive && silence.is_none(),
            journal: shown,
        });
    }
    let tls = tls(config).unwrap_or_else(|fault| {
        faults.push(fault);
        Vec::new()
    });
    let known = standing.unwrap_or_default();
    let (dials_out, address) = match &config.dial {
        Dial::Listen(address) => (false, address.to_string()),
        Dial::Out { server, .. } => (true, server.clone()),
    };
    Ok(Status {
        running,
        dials_out,
        address,
        key_store: store.location(),
        faults,
        notes,
        tls,
        journal,
        workers,
        never_enrolled,
        key_store_error,
        gateway_id: known.gateway_id.map(|id| id.to_string()),
        active_key_id: known.active.map(|id| id.to_string()),
        pending_key_id: known.pending.map(|id| id.to_string()),
        enrolment_key_id: known.enrolment.map(|id| id.to_string()),
        pairing_until_unix_ms: known.pairing_until.map(|until| until.0),
        report,
        standing,
    })
}

/// The files of `[tls]`; where one cannot be used or is out of date no link comes up with it, and
/// that is an error.
fn tls(config: &Config) -> Result<Vec<TlsFile>, String> {
    let Some(settings) = &config.tls else {
        return Ok(Vec::new());
    };
    let found = portcullis_tls::expiries(settings).map_err(|error| error.to_string())?;
    if let Some(over) = found.iter().find(|it| it.until <= clock::now()) {
        let (what, path, end) = (over.what, over.path.display(), clock::text(over.until));
        return Err(format!("[tls]: the {what} in {path} has expired, on {end}"));
    }
    let file = |it: Expiry| TlsFile {
        what: it.what,
        path: it.path,
        valid_until_unix_ms: it.until.0,
    };
    Ok(found.into_iter().map(file).collect())
}

pub(super) fn read_report(folder: &StateDir) -> Result<Option<Report>, CliError> {
    let Some(bytes) = folder.read(status::FILE, status::MAX_LEN)? else {
        return Ok(None);
    };
    Report::read(&bytes)
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
    let shown = status.faults.iter().map(|fault| ("fault", fault));
    let shown = shown.chain(status.notes.iter().map(|note| ("note", note)));
    lines.extend(shown.map(|(what, line)| format!("{what:<12} {line}")));
    lines.extend(status.tls.iter().map(|file| {
        let until = clock::text(UnixMillis(file.valid_until_unix_ms));
        let path = file.path.display();
        format!("{:<12} {} {path}, valid until {until}", "TLS", file.what)
    }));
    let shown = status
        .journal
        .as_ref()
        .filter(|shown| shown.fault.is_none());
    lines.extend(shown.map(journal_verb::summary));
    for worker in &status.workers {
        let how = match (worker.running, worker.answers) {
            (true, true) => "running",
            (true, false) => "running, and does not answer",
            (false, _) => "not running",
        };
        lines.push(format!("{:<12} {} {how}", "worker", worker.kind));
        let shown = worker.journal.iter().filter(|shown| shown.fault.is_none());
        lines.extend(shown.map(journal_verb::summary));
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
    if let Some(reload) = report.reload.as_ref().filter(|_| status.running) {
        let at = clock::text(UnixMillis(reload.at_unix_ms));
        let what = match (reload.problems.is_empty(), reload.partly) {
            (true, _) => reload::describe(reload).join("; "),
            (false, false) => {
                "the configuration is wrong (see the faults above); what held before holds on"
                    .to_owned()
            }
            (false, true) => format!(
                "{}, but not in the workers that the faults above name, where what held before holds on",
                reload::describe(reload).join("; ")
            ),
        };
        lines.push(format!("{:<12} {at}: {what}", "reload"));
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
        "{what:<12} {} with {} at {}{}, {} mode, {}, under {}, since {}",
        session.session,
        session.server_id,
        session.peer,
        if session.tls { " over TLS" } else { "" },
        session.mode,
        session.suite,
        session.key_id,
        clock::text(UnixMillis(session.since_unix_ms)),
    )
}
