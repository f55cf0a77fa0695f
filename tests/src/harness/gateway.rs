//! A gateway.

use std::path::PathBuf;
use std::process::Command;

use super::process::run_to_end;
use super::{Finished, HarnessError, Process, Programs, Site, free_port};

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
    ///
    /// # Errors
    /// [`HarnessError::Io`] where there is none.
    pub fn inward() -> Result<Self, HarnessError> {
        free_port().map(Self::In)
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
    /// What stands before the program on the command line: nothing, or `wine`.
    launcher: Vec<PathBuf>,
    log: PathBuf,
}

impl Gateway {
    /// Writes the configuration, with `more` added to it.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn new(site: &Site, name: &str, dial: Dial, more: &str) -> Result<Self, HarnessError> {
        let state = site.folder(name)?;
        let dialling = match dial {
            Dial::In(port) => format!("[listen]\naddress = \"127.0.0.1:{port}\"\n"),
            Dial::Out(port) => {
                format!("[dial_out]\nserver = \"127.0.0.1:{port}\"\nname = {name:?}\n")
            }
        };
        let text = format!("state_dir = {state:?}\n{dialling}[log]\nlevel = \"debug\"\n{more}");
        Ok(Self {
            name: name.to_owned(),
            config: site.file(&format!("{name}.toml"), 0o600, &text)?,
            state,
            dial,
            process: None,
            launcher: vec![Programs::built()?.gateway.clone()],
            log: site.path().join(format!("{name}.log")),
        })
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
            launcher,
            log,
        }
    }

    /// `portcullis-gateway` with this configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.launcher.iter();
        let mut command = Command::new(words.next().cloned().unwrap_or_default());
        command
            .args(words)
            .arg("--config")
            .arg(&self.config)
            .args(arguments);
        command
    }

    /// Runs `portcullis-gateway` to its end.
    ///
    /// # Errors
    /// [`HarnessError::Io`] where it cannot be run.
    pub fn cli(&self, arguments: &[&str], input: Option<&str>) -> Result<Finished, HarnessError> {
        run_to_end(self.command(arguments), input)
    }

    /// Takes a token.
    ///
    /// # Errors
    /// [`HarnessError`] where it is refused.
    pub fn enroll(&self, token: &str) -> Result<(), HarnessError> {
        self.cli(&["enroll"], Some(token))?.ok().map(drop)
    }

    /// Starts it, without waiting.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn start(&mut self) -> Result<&mut Process, HarnessError> {
        let process = Process::start(self.command(&["run"]), &self.log)?;
        Ok(self.process.insert(process))
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
    ///
    /// # Errors
    /// [`HarnessError::Io`].
    pub fn kill(&mut self) -> Result<(), HarnessError> {
        self.process.take().map_or(Ok(()), |mut p| p.kill())
    }
}
