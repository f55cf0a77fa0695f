//! A process and its log.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::{HarnessError, PATIENCE};

/// A command that ran to its end.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
    command: String,
}

impl Finished {
    /// It ended with status 0.
    ///
    /// # Errors
    /// [`HarnessError::Program`] where it did not.
    pub fn ok(self) -> Result<Self, HarnessError> {
        if self.status.success() {
            return Ok(self);
        }
        Err(HarnessError::Program {
            command: self.command,
            status: self.status,
            output: format!("{}{}", self.stdout, self.stderr),
        })
    }
}

/// Runs a command to its end, whatever that is, with `input` on its standard input.
///
/// # Errors
/// [`HarnessError::Io`] where it cannot be run.
pub fn run_to_end(mut command: Command, input: Option<&str>) -> Result<Finished, HarnessError> {
    let line = show(&command);
    let failed = || HarnessError::io(format!("run `{line}`"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed())?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read its input has its reasons; its status tells them.
        let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
    }
    let output = child.wait_with_output().map_err(failed())?;
    Ok(Finished {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        command: line,
    })
}

/// Runs a command that is to succeed.
///
/// # Errors
/// [`HarnessError`] where it cannot be run or fails.
pub fn run(command: Command, input: Option<&str>) -> Result<Finished, HarnessError> {
    run_to_end(command, input)?.ok()
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    command: String,
    log: Arc<Log>,
}

/// The lines that a process wrote so far, on both streams.
#[derive(Default)]
struct Log {
    state: Mutex<State>,
    grew: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    /// Streams that have come to their end.
    ended: usize,
}

impl Process {
    /// Starts `command`. What it writes is appended to `file` too.
    ///
    /// # Errors
    /// [`HarnessError::Io`] where it cannot be started.
    pub fn start(mut command: Command, file: &Path) -> Result<Self, HarnessError> {
        let line = show(&command);
        let failed = || HarnessError::io(format!("start `{line}`"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed())?;
        let log = Arc::new(Log::default());
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            let copy = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(file)
                .map_err(failed())?;
            let second = copy.try_clone().map_err(failed())?;
            follow(out, Arc::clone(&log), copy);
            follow(err, Arc::clone(&log), second);
        }
        Ok(Self {
            child,
            command: line,
            log,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it wrote so far.
    pub fn log(&self) -> String {
        self.log.lock().lines.join("\n")
    }

    /// Waits until it writes a line that contains `text`, or has written one already; gives that line.
    ///
    /// # Errors
    /// [`HarnessError::Timeout`] where it does not, or ends without.
    pub fn wait_for_line(&self, text: &str) -> Result<String, HarnessError> {
        let began = Instant::now();
        let mut seen = 0;
        let mut state = self.log.lock();
        loop {
            if let Some(line) = state.lines.iter().skip(seen).find(|l| l.contains(text)) {
                return Ok(line.clone());
            }
            seen = state.lines.len();
            let left = PATIENCE.saturating_sub(began.elapsed());
            if left.is_zero() || state.ended == 2 {
                drop(state);
                return Err(
                    self.timeout(&format!("the line `{text}` of `{}`", self.command), began)
                );
            }
            state = match self.log.grew.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// [`HarnessError::Timeout`] where it does not.
    pub fn wait(&mut self) -> Result<ExitStatus, HarnessError> {
        let began = Instant::now();
        let mut state = self.log.lock();
        // Both streams end with the process: no need to ask it again and again.
        while state.ended < 2 {
            let left = PATIENCE.saturating_sub(began.elapsed());
            if left.is_zero() {
                drop(state);
                return Err(self.timeout(&format!("the end of `{}`", self.command), began));
            }
            state = match self.log.grew.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        drop(state);
        let command = self.command.clone();
        self.child
            .wait()
            .map_err(HarnessError::io(format!("wait for `{command}`")))
    }

    /// Kills it at once (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// [`HarnessError::Io`] where it cannot be killed.
    pub fn kill(&mut self) -> Result<(), HarnessError> {
        let command = self.command.clone();
        let failed = || HarnessError::io(format!("kill `{command}`"));
        self.child.kill().map_err(failed())?;
        self.child.wait().map_err(failed())?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// [`HarnessError`] where it does not end.
    pub fn stop(&mut self) -> Result<ExitStatus, HarnessError> {
        if let Some(pid) = Pid::from_raw(i32::try_from(self.id()).unwrap_or(0)) {
            kill_process(pid, Signal::TERM)
                .map_err(std::io::Error::from)
                .map_err(HarnessError::io(format!("stop `{}`", self.command)))?;
        }
        self.wait()
    }

    /// Has it ended?
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    fn timeout(&self, what: &str, began: Instant) -> HarnessError {
        HarnessError::Timeout {
            what: what.to_owned(),
            waited: began.elapsed(),
            log: self.log(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.command, self.id())
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn follow(stream: impl Read + Send + 'static, log: Arc<Log>, mut copy: std::fs::File) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            // The copy is for people to read afterwards: a full disk must not end the test that fills it.
            let _ = writeln!(copy, "{line}");
            log.lock().lines.push(line);
            log.grew.notify_all();
        }
        log.lock().ended += 1;
        log.grew.notify_all();
    });
}
