//! `reload`

use std::thread;
use std::time::{Duration, Instant};

use super::{CliError, say, status};
use crate::config::Config;
use crate::listener::status::ReloadReport;
use crate::service::reload::REQUEST;
use crate::state_dir::StateDir;

/// How long the running gateway is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often its answer is looked for.
const INTERVAL: Duration = Duration::from_millis(50);

/// Has the running gateway read its configuration again, and says what came of it.
pub(super) fn reload(config: &Config) -> Result<(), CliError> {
    let folder = StateDir::of(config);
    if !folder.is_running()? {
        return Err(CliError::NotRunning);
    }
    // Each waits for those before it: there is one request at a time, and one answer.
    let _lock = folder.lock_reload(PATIENCE)?;
    let request = format!("{:016x}", rand::random::<u64>());
    folder.replace(REQUEST, request.as_bytes())?;
    let report = answer(&folder, &request)?;
    if !report.problems.is_empty() {
        return Err(match report.partly {
            true => CliError::PartlyReloaded(report.problems),
            false => CliError::NotReloaded(report.problems),
        });
    }
    describe(&report).iter().try_for_each(|line| say(line))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the answer comes from another process, by a file"
)]
fn answer(folder: &StateDir, request: &str) -> Result<ReloadReport, CliError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let report = status::read_report(folder)?.and_then(|report| report.reload);
        if let Some(report) = report.filter(|report| report.request == request) {
            return Ok(report);
        }
        thread::sleep(INTERVAL);
    }
    Err(CliError::NoAnswer(PATIENCE.as_secs()))
}

/// What a reload did, a line each.
pub(super) fn describe(report: &ReloadReport) -> Vec<String> {
    let changes = match report.changes.as_slice() {
        [] => "configuration reloaded: nothing changed".to_owned(),
        changes => format!("configuration reloaded: {}", changes.join(", ")),
    };
    let mut lines = vec![changes];
    if !report.restart.is_empty() {
        lines.push(format!(
            "what changed in {} waits for a restart",
            report.restart.join(", ")
        ));
    }
    let faults = report.faults.iter();
    lines.extend(faults.map(|fault| format!("calls will fail: {fault}")));
    lines
}
