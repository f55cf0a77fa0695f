//! The server's configuration: a TOML file, every key optional, unknown keys refused.

mod capabilities;
mod error;
mod forward;
mod live;
mod read;
mod repository;
mod sections;
mod values;

use std::io;
use std::path::{Path, PathBuf};

use portcullis_host::config;
use portcullis_host::log::Log;
use portcullis_watch::traces::TraceSettings;

pub use capabilities::{Capabilities, Capability, CapabilitySet, Principal};
pub use error::{ConfigError, Fault};
pub use forward::{Forward, ForwardTo, SyslogAt, What};
pub use live::{Live, Loaded, Reloaded};
pub use repository::{DatabaseHost, DatabasePassword, Engine, Postgres};
pub use sections::{Admin, Audit, Calls, Channel, DialOut, Keys, Links, Peers, Server};

/// The file read where none is named.
pub const DEFAULT_FILE: &str = "/etc/portcullis/server.toml";

/// The server's configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder of the repository, where it is a file, and of the server's own files.
    pub data_dir: PathBuf,
    /// What stores the repository.
    pub engine: Engine,
    /// Where the secret that opens the repository's keys comes from.
    pub secret: SecretSource,
    /// What this server is among those of its repository.
    pub server: Server,
    /// The admin API.
    pub admin: Admin,
    /// Who may do what through it.
    pub capabilities: Capabilities,
    /// The audit log.
    pub audit: Audit,
    /// Where gateways that dial out are awaited.
    pub dial_out: DialOut,
    /// Links to other servers on the repository; `None`: there are none.
    pub peers: Option<Peers>,
    /// TLS around the channel; `None`: there is none.
    pub tls: Option<portcullis_tls::Settings>,
    /// The sealed channel.
    pub channel: Channel,
    /// How links are kept up.
    pub links: Links,
    /// Lifetimes of credentials.
    pub keys: Keys,
    /// Calls that wait for their gateway.
    pub calls: Calls,
    /// Where entries of the audit log are sent as well.
    pub forward: Vec<Forward>,
    /// Where health and metrics are read.
    pub watch: portcullis_watch::Settings,
    /// Where spans of traces are sent.
    pub traces: TraceSettings,
    /// What is logged, and how.
    pub log: Log,
    /// What is wrong and costs only what it is about: a listed user who is not there. Each with
    /// file, line and key.
    pub warnings: Vec<String>,
}

/// Where the secret that opens the repository's keys comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file of mode 0600 (`secret_file`).
    File(PathBuf),
    /// A credential of the service, by systemd (`secret_credential`).
    Credential(String),
    /// Whoever starts the server types it (`secret_prompt`).
    Prompt,
}

impl Config {
    /// Reads `file`, or where none is named [`DEFAULT_FILE`]; where that one is missing, all
    /// defaults hold.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        match config::read_file(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => Err(ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Parses the text of a configuration; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        config::parse(path, text, read::root).map_err(|problems| ConfigError::of(problems, text))
    }

    /// The repository's file, where it is one.
    pub fn repository_file(&self) -> PathBuf {
        self.data_dir.join("portcullis.db")
    }
}

impl Default for Config {
    fn default() -> Self {
        let data_dir = PathBuf::from("/var/lib/portcullis");
        Self {
            secret: default_secret(&data_dir),
            audit: Audit::beside(&data_dir),
            data_dir,
            engine: Engine::default(),
            server: Server::default(),
            admin: Admin::default(),
            capabilities: Capabilities::default(),
            dial_out: DialOut::default(),
            peers: None,
            tls: None,
            channel: Channel::default(),
            links: Links::default(),
            keys: Keys::default(),
            calls: Calls::default(),
            forward: Vec::new(),
            watch: portcullis_watch::Settings::default(),
            traces: TraceSettings::default(),
            log: Log::default(),
            warnings: Vec::new(),
        }
    }
}

fn default_secret(data_dir: &Path) -> SecretSource {
    SecretSource::File(data_dir.join("server.secret"))
}

#[cfg(test)]
mod tests;
