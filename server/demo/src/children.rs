//! The processes of the demonstration: started with a log each, ended with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::DemoError;

/// How long a process may take to end when asked.
const GRACE: Duration = Duration::from_secs(5);

/// A long-running process; it ends with this value.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with its output in `log`.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        log: PathBuf,
    ) -> Result<Self, DemoError> {
        let file = File::create(&log).map_err(DemoError::file("create the log", &log))?;
        let copy = file
            .try_clone()
            .map_err(DemoError::file("create the log", &log))?;
        let program = PathBuf::from(command.get_program());
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .map_err(DemoError::file("start", program))?;
        Ok(Self { name, child, log })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails where it has ended.
    pub(super) fn check(&mut self) -> Result<(), DemoError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(source) => Err(DemoError::File {
                what: "watch",
                path: self.name.into(),
                source,
            }),
        }
    }

    fn ended(&self, status: ExitStatus) -> DemoError {
        DemoError::Ended {
            name: self.name,
            status: status.to_string(),
            log: tail(&self.log),
        }
    }
}

impl Drop for Process {
    #[allow(
        clippy::disallowed_methods,
        reason = "the demonstration has no runtime"
    )]
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended already; then there is nobody to ask.
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end and gives what it printed.
pub(super) fn run(shown: &str, mut command: Command) -> Result<String, DemoError> {
    let program = PathBuf::from(command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(DemoError::file("run", program))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(DemoError::Command {
        command: shown.to_owned(),
        status: output.status.to_string(),
        output: format!("{stdout}{stderr}"),
    })
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
