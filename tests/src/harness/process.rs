//! A process and its log.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::panic::Location;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{OrFail as _, PATIENCE, in_vain};

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
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// It ended with status 1: what was asked for is not done.
    #[track_caller]
    pub fn refused(self) -> Self {
        assert_eq!(self.status.code(), Some(1), "{self}");
        self
    }

    /// `text` is in its messages.
    #[track_caller]
    pub fn saying(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in: {self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            stdout,
            stderr,
            command,
        } = self;
        write!(f, "`{command}` ended with {status}\n{stdout}{stderr}")
    }
}

/// Runs a command to its end, whatever that is, with `input` on its standard input.
#[track_caller]
pub fn run_to_end(mut command: Command, input: &str) -> Finished {
    let line = show(&command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().or_fail(&line);
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read its input has its reasons; its status tells them.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().or_fail(&line);
    Finished {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        command: line,
    }
}

/// Runs a command that is to succeed.
#[track_caller]
pub fn run(command: Command) -> Finished {
    run_to_end(command, "").ok()
}

/// The program, in this network namespace.
pub(super) fn within(netns: Option<&str>, program: &Path) -> Command {
    let Some(netns) = netns else {
        return Command::new(program);
    };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", netns]).arg(program);
    command
}

/// A command line as words. Blanks part them; a word that holds blanks stands in single quotes.
pub fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    words.collect()
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
    #[track_caller]
    pub fn start(mut command: Command, file: &Path) -> Self {
        let line = show(&command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().or_fail(&line);
        let log = Arc::new(Log::default());
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            let copy = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(file)
                .or_fail(file.display());
            let second = copy.try_clone().or_fail(file.display());
            follow(out, Arc::clone(&log), copy);
            follow(err, Arc::clone(&log), second);
        }
        Self {
            child,
            command: line,
            log,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time that it has used, with its children, in the system's ticks of 10 ms.
    pub fn processor_time(&self) -> Duration {
        let processes = std::fs::read_dir("/proc").or_fail("the list of processes");
        let names = processes.flatten().map(|entry| entry.file_name());
        let ids = names.filter_map(|name| name.to_str()?.parse().ok());
        let ticks = ids.filter_map(|id| ticks_of(id, self.id())).sum::<u64>();
        Duration::from_millis(ticks * 10)
    }

    /// Everything it wrote so far.
    pub fn log(&self) -> String {
        self.log.lock().lines.join("\n")
    }

    /// Waits until it writes a line that contains `text`, or has written one already; gives that
    /// line.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> String {
        let began = Instant::now();
        let mut seen = 0;
        let mut state = self.log.lock();
        loop {
            if let Some(line) = state.lines.iter().skip(seen).find(|l| l.contains(text)) {
                return line.clone();
            }
            seen = state.lines.len();
            let left = PATIENCE.saturating_sub(began.elapsed());
            if left.is_zero() || state.ended == 2 {
                drop(state);
                let what = format!("the line `{text}` of `{}`", self.command);
                in_vain(Location::caller(), &what, began.elapsed(), &self.log());
            }
            state = match self.log.grew.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Whether it has ended, and with it all that it left running.
    pub fn has_ended(&self) -> bool {
        self.log.lock().ended == 2
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        let mut state = self.log.lock();
        // Both streams end with the process: no need to ask it again and again.
        while state.ended < 2 {
            let left = PATIENCE.saturating_sub(began.elapsed());
            if left.is_zero() {
                drop(state);
                let what = format!("the end of `{}`", self.command);
                in_vain(Location::caller(), &what, began.elapsed(), &self.log());
            }
            state = match self.log.grew.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        drop(state);
        self.child.wait().or_fail(&self.command)
    }

    /// Kills it at once (SIGKILL) and waits for its end.
    #[track_caller]
    pub fn kill(&mut self) {
        self.child.kill().or_fail(&self.command);
        self.child.wait().or_fail(&self.command);
    }

    /// Asks it to end (SIGTERM) and waits for its end.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).or_fail(&self.command);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
            // The copy is for people to read afterwards: a full disk must not end the test that
            // fills it.
            let _ = writeln!(copy, "{line}");
            log.lock().lines.push(line);
            log.grew.notify_all();
        }
        log.lock().ended += 1;
        log.grew.notify_all();
    });
}

#[test]
fn a_word_may_hold_blanks() {
    let line = "account create unix ada --set 'gecos=Ada Lovelace' --password-stdin ''";
    let words = words(line);
    assert_eq!(words[5..], ["gecos=Ada Lovelace", "--password-stdin", ""]);
}

/// The ticks of a process and of its children that have ended, where it is this one or its child.
fn ticks_of(id: u32, of: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before may hold blanks; after it, the parent is the 2nd, and times are the 12th to
    // 15th.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    let parent: u32 = fields.get(1)?.parse().ok()?;
    let times = fields.get(11..15)?.iter();
    (id == of || parent == of).then(|| times.filter_map(|time| time.parse::<u64>().ok()).sum())
}
