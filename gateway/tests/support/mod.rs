//! A gateway as a real process, and an in-test server that shakes hands with it.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod stream;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis-gateway");
/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A loopback address of no other call, where nobody's outgoing connections take the port.
pub(crate) fn free_address() -> SocketAddr {
    static GIVEN: AtomicU16 = AtomicU16::new(1);
    let [high, low] = GIVEN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 77, high, low), 0)).unwrap();
    listener.local_addr().unwrap()
}

/// The folder and configuration of one gateway.
pub(crate) struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// Listens on a free port of loopback.
    pub(crate) fn listening() -> Self {
        Self::listening_with("")
    }

    /// As [`Self::listening`], with this after `[listen]` in the configuration.
    pub(crate) fn listening_with(more: &str) -> Self {
        let address = free_address();
        Self::new(&format!("[listen]\naddress = \"{address}\"\n{more}"))
    }

    /// Dials `server`.
    pub(crate) fn dialling(server: SocketAddr, name: Option<&str>) -> Self {
        let name = name.map_or_else(String::new, |name| format!("name = \"{name}\"\n"));
        Self::new(&format!("[dial_out]\nserver = \"{server}\"\n{name}"))
    }

    /// With this after `state_dir` in the configuration.
    pub(crate) fn new(more: &str) -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let state = site.state_dir();
        fs::write(site.config(), format!("state_dir = {state:?}\n{more}")).unwrap();
        site
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.config()).args(words(line));
        command
    }

    /// Runs a verb to its end.
    pub(crate) fn cli(&self, line: &str, input: &str) -> Output {
        finish(self.command(line), input)
    }

    /// Runs a verb that has to succeed, and gives what it printed.
    #[track_caller]
    pub(crate) fn done(&self, line: &str, input: &str) -> String {
        let output = self.cli(line, input);
        assert!(output.status.success(), "{line}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a verb that has to fail with code 1, and gives its message.
    #[track_caller]
    pub(crate) fn refused(&self, line: &str, input: &str) -> String {
        let output = self.cli(line, input);
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {errors}");
        errors
    }

    /// Starts `run`, and waits until it listens or dials.
    pub(crate) fn run(&self) -> Gateway {
        Gateway::start(self.command("run"))
    }
}

/// A command line as words. Blanks part them; a word that holds blanks stands in single quotes.
pub(crate) fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    words.collect()
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn finish(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may refuse before it reads.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    lines: Receiver<String>,
    log: String,
    /// Where it listens, or whom it dials.
    pub(crate) address: SocketAddr,
}

impl Gateway {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut gateway = Self {
            child,
            lines,
            log: String::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = gateway.wait_for_any(&["listening on ", "dialling "]);
        gateway.address = line
            .split(' ')
            .find_map(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("no address in {line:?}"));
        gateway
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of its log that holds `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.wait_for_any(&[text])
    }

    fn wait_for_any(&mut self, texts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {texts:?} in its log:\n{}", self.log);
            };
            self.note(&line);
            if texts.iter().any(|text| line.contains(text)) {
                return line;
            }
        }
    }

    fn note(&mut self, line: &str) {
        self.log.push_str(line);
        self.log.push('\n');
    }

    /// Kills it (SIGKILL) and gives its whole log.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.end()
    }

    /// Stops it (SIGTERM) and gives its whole log.
    #[cfg(unix)]
    pub(crate) fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.end()
    }

    fn end(&mut self) -> String {
        self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.note(&line);
        }
        std::mem::take(&mut self.log)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Gone already where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
