//! The gateway's configuration: a TOML file, checked whole before anything starts.
//!
//! A key that nobody knows, a value out of range and a value of the wrong type are all fatal; every
//! problem is reported at once, with file, line, key and what is allowed. A connector's own keys
//! are read by the connector.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::stream::ChannelLimits;
use portcullis_host::config;
pub use portcullis_host::config::{ConfigProblem, Problems, Section, Table};
use portcullis_host::log::Log;
use portcullis_watch::traces::TraceSettings;

/// The port where a gateway listens by default.
pub const DEFAULT_PORT: u16 = 9278;

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names this gateway among others on the same host: on Windows, its registry key.
    pub instance: String,
    /// The folder of the key store, the locks and the status file.
    pub state_dir: PathBuf,
    /// Who dials.
    pub dial: Dial,
    /// TLS around the channel; `None`: there is none.
    pub tls: Option<portcullis_tls::Settings>,
    /// The credential of the service under which the key store is sealed; `None`: it is not.
    pub key_store: Option<Credential>,
    /// Suites that this gateway's policy allows; never empty.
    pub suites: Vec<Suite>,
    /// Limits of each channel.
    pub channel: ChannelLimits,
    /// Limits of the whole gateway.
    pub limits: Limits,
    /// How large the journal may become, and how long it keeps calls.
    pub journal: JournalSettings,
    /// The workers that have the connectors; `None`: this process has them.
    pub workers: Option<WorkersConfig>,
    /// Where health and metrics are read.
    pub watch: Watch,
    /// Where spans of traces are sent.
    pub traces: TraceSettings,
    /// What is logged, and how.
    pub log: Log,
    /// Servers may read the log, and have more logged for a time.
    pub log_for_server: bool,
    /// The connectors, not yet read.
    pub connectors: ConnectorsConfig,
    /// The file that was named to be read; `None`: the default one, if it is there.
    pub source: Option<PathBuf>,
}

/// Who dials: exactly one side does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dial {
    /// The server dials this gateway here.
    Listen(SocketAddr),
    /// This gateway dials the server.
    Out {
        /// HOST:PORT of the server.
        server: String,
        /// The same of further ones on the same repository, of which any will do.
        others: Vec<String>,
        /// The name it was registered with: needed only for pairing.
        name: Option<String>,
        /// The HTTP proxy on the way.
        proxy: Option<Proxy>,
    },
}

/// A credential that systemd hands to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its name in the unit.
    pub name: String,
    /// The unit.
    pub unit: String,
}

/// An HTTP proxy that connects to others by CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its HOST:PORT.
    pub address: String,
    /// The private file with NAME:PASSWORD, where it asks for them.
    pub credentials: Option<PathBuf>,
}

/// Limits of the whole gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Handshakes under way at once.
    pub half_open: usize,
    /// Handshakes under way at once from one address.
    pub half_open_per_address: usize,
    /// Calls carried out at once.
    pub calls: usize,
    /// How long one call may take, whatever it asks for.
    pub call_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open: 64,
            half_open_per_address: 8,
            calls: 64,
            call_timeout: Duration::from_secs(60),
        }
    }
}

/// How large the journal of calls may become, and how long it keeps what it has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// Bytes of the file from which on calls that change something are refused.
    pub most: u64,
    /// How long an entry is kept once the server has acknowledged its outcome.
    pub kept: Duration,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            most: 64 << 20,
            // As long as a server keeps what came of a call (`calls.results_kept`).
            kept: Duration::from_hours(90 * 24),
        }
    }
}

/// Where health and metrics are read, and what counts as healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Where they are read.
    pub settings: portcullis_watch::Settings,
    /// How long the gateway is ready without a link, which is replaced now and then.
    pub link_within: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            settings: portcullis_watch::Settings::default(),
            link_within: Duration::from_secs(60),
        }
    }
}

/// Which of the two workers a connector is in, where the gateway is in processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkerKind {
    /// It has the rights that accounts of the host need, and no network.
    Privileged,
    /// It reaches directories and databases, and has no rights.
    Networked,
}

impl WorkerKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Privileged, Self::Networked];

    /// As the configuration and the units spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Networked => "networked",
        }
    }

    /// Its unit, as the packages have it.
    pub fn unit(self, instance: &str) -> String {
        match instance {
            "default" => format!("portcullis-gateway-{self}"),
            other => format!("portcullis-gateway-{self}@{other}"),
        }
    }

    /// The worker of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Where connectors of a type belong; `None`: the configuration has to say.
    fn of_type(kind: &str) -> Option<Self> {
        match kind {
            "unix" => Some(Self::Privileged),
            "script" => None,
            _ => Some(Self::Networked),
        }
    }
}

impl clap::ValueEnum for WorkerKind {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let help = match self {
            Self::Privileged => "With the rights that the connector `unix` needs, and no network",
            Self::Networked => "With the network, and no rights",
        };
        Some(clap::builder::PossibleValue::new(self.name()).help(help))
    }
}

impl fmt::Display for WorkerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A gateway in processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkersConfig {
    /// The user of the process that faces the servers, whom alone the workers serve: a name, or a
    /// number.
    pub user: String,
    /// The worker with the rights that `unix` needs.
    pub privileged: WorkerConfig,
    /// The worker that reaches directories and databases.
    pub networked: WorkerConfig,
}

impl WorkersConfig {
    /// That worker.
    pub fn of(&self, kind: WorkerKind) -> &WorkerConfig {
        match kind {
            WorkerKind::Privileged => &self.privileged,
            WorkerKind::Networked => &self.networked,
        }
    }
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Where it listens.
    pub socket: PathBuf,
    /// The folder of its journal, and of what its connectors keep.
    pub state_dir: PathBuf,
}

/// The `[connectors]` of the configuration.
#[derive(Clone, Debug, Default)]
pub struct ConnectorsConfig {
    /// The configuration file.
    pub file: PathBuf,
    /// Sorted by name.
    pub connectors: Vec<ConnectorConfig>,
}

/// One `[connectors.NAME]`.
#[derive(Clone, Debug)]
pub struct ConnectorConfig {
    /// The name that a resource refers to it by.
    pub name: String,
    /// `unix`, `script`, …: any text that stood there.
    pub kind: String,
    /// The worker that has it, where the gateway is in processes; `None`: it does not say.
    pub worker: Option<WorkerKind>,
    /// All its keys, `type` and `guard_rails` included: read them with a [`Section`] at
    /// [`Self::path`].
    pub table: Table,
}

impl ConnectorConfig {
    /// Where it stands: `connectors.NAME`.
    pub fn path(&self) -> String {
        format!("connectors.{}", self.name)
    }
}

impl ConnectorsConfig {
    /// Those of one worker.
    #[must_use]
    pub fn of(&self, kind: WorkerKind) -> Self {
        let own = self.connectors.iter();
        let own = own.filter(|entry| entry.worker == Some(kind));
        Self {
            file: self.file.clone(),
            connectors: own.cloned().collect(),
        }
    }
}

/// Says what is wrong with the connectors' own configuration.
pub type Also = fn(&ConnectorsConfig) -> Vec<ConfigProblem>;

impl Config {
    /// Reads and checks `file`; without one, the default file, and where there is none all
    /// defaults. Where something is wrong, `also` says what is wrong with the connectors, too: all
    /// is told at once.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] found.
    pub fn load(file: Option<&Path>, also: Also) -> Result<Self, Vec<ConfigProblem>> {
        let default = default_file();
        let path = file.unwrap_or(&default);
        if let Err(message) = platform::check(path) {
            let problems = Problems::new(path);
            problems.add(None, "", message);
            return Err(problems.into_vec());
        }
        let named = |config| Self {
            source: file.map(Path::to_owned),
            ..config
        };
        match config::read_file(path) {
            Ok(text) => Self::parse_with(path, &text, also).map(named),
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Self::parse(path, "")
            }
            Err(error) => {
                let problems = Problems::new(path);
                problems.add(None, "", unreadable(&error));
                Err(problems.into_vec())
            }
        }
    }

    /// The folder of what carries out the calls of this worker's connectors, which belongs to the
    /// user as whom that runs.
    pub fn state_dir_of(&self, worker: Option<WorkerKind>) -> &Path {
        match (&self.workers, worker) {
            (Some(workers), Some(kind)) => &workers.of(kind).state_dir,
            _ => &self.state_dir,
        }
    }

    /// The connectors of the process that runs this configuration: all of them, or none where
    /// workers have them.
    pub fn own_connectors(&self) -> ConnectorsConfig {
        match self.workers {
            None => self.connectors.clone(),
            Some(_) => ConnectorsConfig {
                file: self.connectors.file.clone(),
                connectors: Vec::new(),
            },
        }
    }

    /// Checks the text of a configuration that was read from `file`.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] found.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<ConfigProblem>> {
        Self::parse_with(file, text, |_| Vec::new())
    }

    fn parse_with(file: &Path, text: &str, also: Also) -> Result<Self, Vec<ConfigProblem>> {
        config::parse(file, text, |mut root, problems| {
            let config = read::root(&mut root, problems);
            root.finish();
            if problems.any() {
                problems.join(also(&config.connectors));
            }
            config
        })
    }
}

/// The configuration file that is read where none is named.
pub fn default_file() -> PathBuf {
    platform::default_file()
}

/// The state folder where none is named.
pub fn default_state_dir() -> PathBuf {
    platform::default_state_dir()
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file: give --config FILE the path of the configuration".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "cannot be read by this user: run as the user that the gateway runs as, or mend the file's permissions".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}
