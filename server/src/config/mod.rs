//! The server's configuration: a TOML file, every key optional, unknown keys refused.

mod capabilities;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::rotation::Policy;
use portcullis_common::stream::ChannelLimits;
use portcullis_host::log::Log;
use serde::Deserialize;

pub use capabilities::{Capabilities, Capability, CapabilitySet, Principal};

/// The file read where none is named.
pub const DEFAULT_FILE: &str = "/etc/portcullis/server.toml";

/// Why the configuration cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{path}, line {line}, `{text}`: {message}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// That line.
        text: String,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// Two values do not go together.
    #[error("{path}: {message}", path = path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// Which, and what is allowed.
        message: &'static str,
    },
}

/// The server's configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder of the repository.
    pub data_dir: PathBuf,
    /// Where the secret that opens the repository's keys comes from.
    pub secret: SecretSource,
    /// The admin API.
    pub admin: Admin,
    /// Who may do what through it.
    pub capabilities: Capabilities,
    /// The audit log.
    pub audit: Audit,
    /// Where gateways that dial out are awaited.
    pub dial_out: DialOut,
    /// The sealed channel.
    pub channel: Channel,
    /// How links are kept up.
    pub links: Links,
    /// Lifetimes of credentials.
    pub keys: Keys,
    /// Calls that wait for their gateway.
    pub calls: Calls,
    /// What is logged, and how.
    pub log: Log,
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

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The Unix socket of the admin API, made with mode 0600.
    #[serde(deserialize_with = "values::absolute_path")]
    pub socket: PathBuf,
    /// The group that may open the socket, which then has mode 0660; `None`: nobody but the server's own user and root.
    #[serde(deserialize_with = "capabilities::optional_group")]
    pub socket_group: Option<u32>,
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Where the end of the log is kept outside the repository.
    pub head_file: PathBuf,
    /// Whether provisioning calls leave entries.
    pub calls: bool,
}

/// `[dial_out]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DialOut {
    /// `None`: gateways that dial out are not awaited.
    #[serde(deserialize_with = "values::optional_address")]
    pub listen: Option<SocketAddr>,
}

/// `[channel]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channel {
    /// The suites allowed, in order of preference; not empty.
    #[serde(deserialize_with = "values::suites")]
    pub suites: Vec<Suite>,
    /// The whole handshake.
    #[serde(deserialize_with = "values::short_duration")]
    pub handshake_timeout: Duration,
    /// The age at which the sender ends an epoch.
    #[serde(deserialize_with = "values::duration")]
    pub epoch_age: Duration,
    /// The age at which a session is replaced by a fresh handshake.
    #[serde(deserialize_with = "values::duration")]
    pub max_session_age: Duration,
}

impl Channel {
    /// The limits that the channel itself keeps.
    pub fn limits(&self) -> ChannelLimits {
        ChannelLimits {
            handshake: self.handshake_timeout,
            epoch_age: self.epoch_age,
        }
    }
}

/// `[links]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Links {
    /// How long a link may be silent before the server asks whether it lives.
    #[serde(deserialize_with = "values::duration")]
    pub keep_alive_interval: Duration,
    /// How long it waits for that answer.
    #[serde(deserialize_with = "values::short_duration")]
    pub keep_alive_timeout: Duration,
    /// The wait after the first failure to connect; it doubles with each.
    #[serde(deserialize_with = "values::duration")]
    pub backoff_min: Duration,
    /// The longest wait.
    #[serde(deserialize_with = "values::duration")]
    pub backoff_max: Duration,
}

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// How long an enrolment token is valid.
    #[serde(deserialize_with = "values::duration")]
    pub token_lifetime: Duration,
    /// How long pairing stays open.
    #[serde(deserialize_with = "values::duration")]
    pub pairing_lifetime: Duration,
    /// How long a retired gateway key still lets a gateway that was away catch up.
    #[serde(deserialize_with = "values::grace")]
    pub retired_key_grace: Duration,
}

impl Keys {
    /// The limits that rotation goes by.
    pub fn policy(&self) -> Policy {
        Policy {
            retired_key_grace_ms: u64::try_from(self.retired_key_grace.as_millis())
                .unwrap_or(u64::MAX),
        }
    }
}

/// `[calls]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calls {
    /// How many calls may wait for one gateway.
    pub queue_limit: u32,
    /// How long a call may wait.
    #[serde(deserialize_with = "values::duration")]
    pub queue_lifetime: Duration,
    /// How long it is known what came of a queued call.
    #[serde(deserialize_with = "values::duration")]
    pub results_kept: Duration,
}

impl Config {
    /// Reads `file`, or where none is named [`DEFAULT_FILE`]; where that one is missing, all defaults hold.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
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
    /// [`ConfigError::Invalid`], `Contradiction`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| invalid(&error, text, path))?;
        let contradiction = |message| ConfigError::Contradiction {
            path: path.to_owned(),
            message,
        };
        let secret = file.secret().map_err(contradiction)?;
        let config = file.with(secret);
        if config.links.backoff_min > config.links.backoff_max {
            return Err(contradiction(
                "[links] backoff_min is longer than backoff_max: give the same or a shorter time",
            ));
        }
        if config.admin.socket_group.is_none() && !config.capabilities.is_empty() {
            return Err(ConfigError::Contradiction {
                path: path.to_owned(),
                message: "[capabilities] names users who cannot open the socket: set [admin] socket_group to a group that they are all in",
            });
        }
        Ok(config)
    }

    /// The repository's file.
    pub fn repository_file(&self) -> PathBuf {
        self.data_dir.join("portcullis.db")
    }
}

impl Default for Config {
    fn default() -> Self {
        let file = File::default();
        let secret = file.default_secret();
        file.with(secret)
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    #[serde(deserialize_with = "values::absolute_path")]
    data_dir: PathBuf,
    #[serde(deserialize_with = "values::optional_path")]
    secret_file: Option<PathBuf>,
    #[serde(deserialize_with = "values::optional_credential")]
    secret_credential: Option<String>,
    secret_prompt: bool,
    admin: Admin,
    capabilities: Capabilities,
    audit: AuditSection,
    dial_out: DialOut,
    channel: Channel,
    links: Links,
    keys: Keys,
    calls: Calls,
    log: Log,
}

/// `[audit]`
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AuditSection {
    #[serde(deserialize_with = "values::optional_path")]
    head_file: Option<PathBuf>,
    calls: bool,
}

impl File {
    fn secret(&self) -> Result<SecretSource, &'static str> {
        match (
            &self.secret_file,
            &self.secret_credential,
            self.secret_prompt,
        ) {
            (None, None, false) => Ok(self.default_secret()),
            (Some(path), None, false) => Ok(SecretSource::File(path.clone())),
            (None, Some(name), false) => Ok(SecretSource::Credential(name.clone())),
            (None, None, true) => Ok(SecretSource::Prompt),
            (Some(_), Some(_), _) => {
                Err("secret_file and secret_credential are both given: leave one of them out")
            }
            (Some(_), None, true) => {
                Err("secret_file is given and secret_prompt is true: leave one of them out")
            }
            (None, Some(_), true) => {
                Err("secret_credential is given and secret_prompt is true: leave one of them out")
            }
        }
    }

    fn default_secret(&self) -> SecretSource {
        SecretSource::File(self.data_dir.join("server.secret"))
    }

    fn with(self, secret: SecretSource) -> Config {
        Config {
            secret,
            audit: Audit {
                head_file: self
                    .audit
                    .head_file
                    .unwrap_or_else(|| beside(&self.data_dir).join("head")),
                calls: self.audit.calls,
            },
            data_dir: self.data_dir,
            admin: self.admin,
            capabilities: self.capabilities,
            dial_out: self.dial_out,
            channel: self.channel,
            links: self.links,
            keys: self.keys,
            calls: self.calls,
            log: self.log,
        }
    }
}

impl Default for File {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/portcullis".into(),
            secret_file: None,
            secret_credential: None,
            secret_prompt: false,
            admin: Admin::default(),
            capabilities: Capabilities::default(),
            audit: AuditSection::default(),
            dial_out: DialOut::default(),
            channel: Channel::default(),
            links: Links::default(),
            keys: Keys::default(),
            calls: Calls::default(),
            log: Log::default(),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            socket: "/run/portcullis/admin.sock".into(),
            socket_group: None,
        }
    }
}

impl Default for AuditSection {
    fn default() -> Self {
        Self {
            head_file: None,
            calls: true,
        }
    }
}

impl Default for DialOut {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([0, 0, 0, 0], 9279))),
        }
    }
}

impl Default for Channel {
    fn default() -> Self {
        let limits = ChannelLimits::default();
        Self {
            suites: Suite::ALL.to_vec(),
            handshake_timeout: limits.handshake,
            epoch_age: limits.epoch_age,
            max_session_age: Duration::from_hours(24),
        }
    }
}

impl Default for Links {
    fn default() -> Self {
        Self {
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_hours(24),
            pairing_lifetime: Duration::from_hours(1),
            retired_key_grace: Duration::from_hours(90 * 24),
        }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            queue_limit: 10_000,
            queue_lifetime: Duration::from_hours(7 * 24),
            results_kept: Duration::from_hours(90 * 24),
        }
    }
}

/// `/var/lib/portcullis-audit` for `/var/lib/portcullis`: what the folder's backup and restore do not touch.
fn beside(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push("-audit");
    data_dir.with_file_name(name)
}

fn invalid(error: &toml::de::Error, text: &str, path: &Path) -> ConfigError {
    let before = error
        .span()
        .and_then(|span| text.get(..span.start))
        .unwrap_or_default();
    let line = before.matches('\n').count();
    ConfigError::Invalid {
        path: path.to_owned(),
        line: line + 1,
        text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
        message: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests;
