//! A gateway.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{run_to_end, within};
use super::{Finished, OrFail as _, Process, Programs, Site, free_port, words};

/// Who dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dial {
    /// The server, to this port of loopback.
    In(u16),
    /// The gateway, to this port of loopback.
    Out(u16),
}

impl Dial {
    /// The server dials, to a port that is free now.
    pub fn inward() -> Self {
        Self::In(free_port())
    }

    /// What stands in the configuration of the gateway that is called so.
    pub(super) fn config(self, name: &str) -> String {
        match self {
            Self::In(port) => format!("[listen]\naddress = \"127.0.0.1:{port}\"\n"),
            Self::Out(port) => {
                format!("[dial_out]\nserver = \"127.0.0.1:{port}\"\nname = {name:?}\n")
            }
        }
    }

    /// What `gateway add` is told: HOST:PORT, or nothing where the gateway dials.
    pub fn address(self) -> String {
        match self {
            Self::In(port) => format!("127.0.0.1:{port}"),
            Self::Out(_) => String::new(),
        }
    }
}

/// A gateway with a folder of its own.
#[derive(Debug)]
pub struct Gateway {
    /// The name it is registered with.
    pub name: String,
    /// Its configuration.
    pub config: PathBuf,
    /// The folder of its key store.
    pub state: PathBuf,
    /// Who dials.
    pub dial: Dial,
    /// While it runs.
    pub process: Option<Process>,
    /// The network namespace in which it runs; `None`: that of the tests.
    pub netns: Option<String>,
    /// What stands before the program on the command line: nothing, or `wine`.
    launcher: Vec<PathBuf>,
    log: PathBuf,
}

impl Gateway {
    /// Writes the configuration, with `more` added to it.
    pub fn new(site: &Site, name: &str, dial: Dial, more: &str) -> Self {
        let state = site.folder(name);
        let dialling = dial.config(name);
        let text = format!("state_dir = {state:?}\n{dialling}[log]\nlevel = \"debug\"\n{more}");
        Self {
            name: name.to_owned(),
            config: site.file(&format!("{name}.toml"), 0o600, &text),
            state,
            dial,
            process: None,
            netns: None,
            launcher: vec![Programs::built().gateway.clone()],
            log: site.path().join(format!("{name}.log")),
        }
    }

    /// One whose configuration is there already, started by this command: `wine` and a path, say.
    pub(super) fn launched(
        name: &str,
        config: PathBuf,
        state: PathBuf,
        dial: Dial,
        launcher: Vec<PathBuf>,
        log: PathBuf,
    ) -> Self {
        Self {
            name: name.to_owned(),
            config,
            state,
            dial,
            process: None,
            netns: None,
            launcher,
            log,
        }
    }

    /// `portcullis-gateway` with this configuration.
    pub fn command(&self, line: &str) -> Command {
        let mut launcher = self.launcher.iter();
        let mut command = within(self.netns.as_deref(), launcher.next().or_fail("program"));
        command.args(launcher).arg("--config").arg(&self.config);
        command.args(words(line));
        command
    }

    /// Runs `portcullis-gateway` to its end.
    #[track_caller]
    pub fn cli(&self, line: &str) -> Finished {
        self.cli_given(line, "")
    }

    /// The same, with `input` on its standard input.
    #[track_caller]
    pub fn cli_given(&self, line: &str, input: &str) -> Finished {
        run_to_end(self.command(line), input)
    }

    /// From its next start on it is this program: another version, say.
    pub fn runs(&mut self, program: &Path) {
        self.launcher = vec![program.to_owned()];
    }

    /// Takes a token.
    #[track_caller]
    pub fn enroll(&self, token: &str) {
        self.cli_given("enroll", token).ok();
    }

    /// Starts it, without waiting.
    #[track_caller]
    pub fn start(&mut self) -> &mut Process {
        let process = Process::start(self.command("run"), &self.log);
        self.process.insert(process)
    }

    /// What it wrote since it was started last.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Everything that it wrote in all its runs.
    pub fn whole_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it (SIGKILL).
    #[track_caller]
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Waits until it writes a line that contains `text`; gives that line.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> String {
        let process = self.process.as_ref();
        process.or_fail("a gateway that runs").wait_for_line(text)
    }
}

/// A token that was damaged on its way: another letter in its middle. Letters stand for the same in
/// either case.
pub fn damaged(token: &str) -> String {
    let (head, tail) = token.split_at(token.len() / 2);
    let other = match tail.starts_with(['A', 'a']) {
        true => 'B',
        false => 'A',
    };
    format!("{head}{other}{}", &tail[1..])
}
