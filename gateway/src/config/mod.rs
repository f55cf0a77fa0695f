//! The gateway's configuration: a TOML file, checked whole before anything starts.
//!
//! A key that nobody knows, a value out of range and a value of the wrong type are all fatal; every problem is reported
//! at once, with file, line, key and what is allowed. A connector's own keys are read by the connector.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use portcullis_common::crypto::suites::Suite;
use portcullis_common::stream::ChannelLimits;
pub use portcullis_host::config::{ConfigProblem, Problems, Section, Table};
use portcullis_host::log::{Log, LogFormat};

/// The port where a gateway listens by default.
pub const DEFAULT_PORT: u16 = 9278;

/// Larger than any configuration: what is larger is not read.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names this gateway among others on the same host: on Windows, its registry key.
    pub instance: String,
    /// The folder of the key store, the locks and the status file.
    pub state_dir: PathBuf,
    /// Who dials.
    pub dial: Dial,
    /// Suites that this gateway's policy allows; never empty.
    pub suites: Vec<Suite>,
    /// Limits of each channel.
    pub channel: ChannelLimits,
    /// Limits of the whole gateway.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
    /// The connectors, not yet read.
    pub connectors: ConnectorsConfig,
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
        /// The name it was registered with: needed only for pairing.
        name: Option<String>,
    },
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
    /// All its keys, `type` and `guard_rails` included: read them with a [`Section`] at [`Self::path`].
    pub table: Table,
}

impl ConnectorConfig {
    /// Where it stands: `connectors.NAME`.
    pub fn path(&self) -> String {
        format!("connectors.{}", self.name)
    }
}

impl Config {
    /// Reads and checks `file`; without one, the default file, and where there is none all defaults.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] found.
    pub fn load(file: Option<&Path>) -> Result<Self, Vec<ConfigProblem>> {
        let default = default_file();
        let path = file.unwrap_or(&default);
        if let Err(message) = platform::check(path) {
            let problems = Problems::new(path);
            problems.add(None, "", message);
            return Err(problems.into_vec());
        }
        match read_file(path) {
            Ok(text) => Self::parse(path, &text),
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

    /// Checks the text of a configuration that was read from `file`.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] found.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<ConfigProblem>> {
        let problems = Problems::new(file);
        let table = match Table::parse(text) {
            Ok(table) => table,
            Err(errors) => {
                for (line, message) in errors {
                    problems.add(line, "", format!("this is no valid TOML: {message}"));
                }
                return Err(problems.into_vec());
            }
        };
        let mut root = Section::new("", &table, &problems);
        let config = read_root(&mut root, &problems);
        root.finish();
        let found = problems.into_vec();
        if found.is_empty() {
            Ok(config)
        } else {
            Err(found)
        }
    }
}

/// The configuration file that is read where none is named.
pub fn default_file() -> PathBuf {
    platform::default_file()
}

#[cfg(unix)]
mod platform {
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    /// Group and others may write.
    const OTHERS_WRITE: u32 = 0o022;

    /// What this file says runs with the gateway's rights: nobody but root and the gateway's own user may write it.
    pub(super) fn check(path: &Path) -> Result<(), String> {
        // Where it cannot be looked at, reading it tells why.
        let Ok(found) = path.metadata() else {
            return Ok(());
        };
        let user = rustix::process::geteuid().as_raw();
        if found.uid() != user && found.uid() != 0 {
            return Err(format!(
                "it belongs to user {} and decides what the gateway does: `chown {user} {}`",
                found.uid(),
                path.display()
            ));
        }
        if found.is_file() && found.mode() & OTHERS_WRITE != 0 {
            return Err(format!(
                "others may write it (mode {:04o}), and it decides what the gateway does: `chmod go-w {}`",
                found.mode() & 0o7777,
                path.display()
            ));
        }
        Ok(())
    }

    pub(super) fn default_file() -> PathBuf {
        PathBuf::from("/etc/portcullis/gateway.toml")
    }

    pub(super) fn default_state_dir() -> PathBuf {
        PathBuf::from("/var/lib/portcullis-gateway")
    }
}

#[cfg(windows)]
mod platform {
    use std::path::{Path, PathBuf};

    use crate::access_list::{self, Forbidden};

    /// Any user of the host may make files below `%ProgramData%`: none of theirs may say what the gateway runs.
    pub(super) fn check(path: &Path) -> Result<(), String> {
        if !path.exists() {
            return Ok(());
        }
        access_list::check(path, Forbidden::Writing).map_err(|error| error.to_string())
    }

    pub(super) fn default_file() -> PathBuf {
        program_data().join("gateway.toml")
    }

    pub(super) fn default_state_dir() -> PathBuf {
        program_data().join("gateway")
    }

    fn program_data() -> PathBuf {
        std::env::var_os("ProgramData")
            .map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from)
            .join("Portcullis")
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let length = fs::metadata(path)?.len();
    if length > MAX_FILE_LEN {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has {length} bytes; a configuration has at most {MAX_FILE_LEN}"),
        ));
    }
    fs::read_to_string(path)
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file: give --config FILE the path of the configuration".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "cannot be read by this user: run as the user that the gateway runs as, or mend the file's permissions".to_owned()
        }
        io::ErrorKind::InvalidData => "is not UTF-8 text".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

fn read_root(root: &mut Section<'_>, problems: &Problems) -> Config {
    let instance = root.text("instance").unwrap_or("default").to_owned();
    if !is_name(&instance) {
        root.problem("instance", NAME_RULE);
    }
    let state_dir = root
        .text("state_dir")
        .map_or_else(platform::default_state_dir, PathBuf::from);
    if !state_dir.is_absolute() {
        root.problem("state_dir", "an absolute path is allowed");
    }
    let dial = read_dial(root);
    let (suites, channel) = read_channel(root);
    Config {
        instance,
        state_dir,
        dial,
        suites,
        channel,
        limits: read_limits(root),
        log: read_log(root),
        connectors: read_connectors(root, problems),
    }
}

fn read_dial(root: &mut Section<'_>) -> Dial {
    let default = Dial::Listen(SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)));
    let both = root.has("listen") && root.has("dial_out");
    let listen = root.section("listen").map(|mut section| {
        let address = section.text("address").and_then(|text| {
            let parsed = text.parse().ok();
            if parsed.is_none() {
                section.problem("address", format!("`{text}`: IP:PORT is allowed, such as \"0.0.0.0:{DEFAULT_PORT}\" or \"[::]:{DEFAULT_PORT}\""));
            }
            parsed
        });
        section.finish();
        address.map_or_else(|| default.clone(), Dial::Listen)
    });
    let dial_out = root.section("dial_out").map(read_dial_out);
    if both {
        root.problem(
            "dial_out",
            "either [listen] (the server dials this gateway) or [dial_out] (this gateway dials the server) is allowed, not both",
        );
    }
    dial_out.or(listen).unwrap_or(default)
}

fn read_dial_out(mut section: Section<'_>) -> Dial {
    let server = section.text("server").unwrap_or_default().to_owned();
    if !section.has("server") {
        section.problem(
            "server",
            "missing: give the server's HOST:PORT, such as \"central.example.com:9279\"",
        );
    } else if !is_host_and_port(&server) {
        section.problem("server", format!("`{server}`: HOST:PORT is allowed, such as \"central.example.com:9279\" or \"[2001:db8::1]:9279\""));
    }
    let name = section.text("name").map(str::to_owned);
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        section.problem("name", NAME_RULE);
    }
    section.finish();
    Dial::Out { server, name }
}

fn read_channel(root: &mut Section<'_>) -> (Vec<Suite>, ChannelLimits) {
    let mut suites = Suite::ALL.to_vec();
    let mut limits = ChannelLimits::default();
    if let Some(mut section) = root.section("channel") {
        if let Some(list) = section.list("suites", |text| {
            text.parse::<Suite>().map_err(|error| error.to_string())
        }) {
            if list.is_empty() {
                section.problem(
                    "suites",
                    "empty: at least one of `TDES-CTR-HMAC-SHA256` and `AES-256-GCM` is needed",
                );
            }
            suites = list;
        }
        if let Some(timeout) = section.duration("handshake_timeout", seconds(1)..=seconds(60)) {
            limits.handshake = timeout;
        }
        if let Some(age) = section.duration("epoch_age", seconds(1)..=seconds(600)) {
            limits.epoch_age = age;
        }
        section.finish();
    }
    (suites, limits)
}

fn read_limits(root: &mut Section<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut section) = root.section("limits") else {
        return limits;
    };
    let mut count = |key, most, limit: &mut usize| {
        if let Some(number) = section.integer(key, 1..=most) {
            *limit = usize::try_from(number).unwrap_or(usize::MAX);
        }
    };
    count("half_open", 4096, &mut limits.half_open);
    count(
        "half_open_per_address",
        4096,
        &mut limits.half_open_per_address,
    );
    count("calls", 4096, &mut limits.calls);
    if let Some(timeout) = section.duration("call_timeout", seconds(1)..=seconds(3600)) {
        limits.call_timeout = timeout;
    }
    section.finish();
    limits
}

fn read_log(root: &mut Section<'_>) -> Log {
    let mut log = Log::default();
    let Some(mut section) = root.section("log") else {
        return log;
    };
    if let Some(level) = section.text("level") {
        match level.parse() {
            Ok(filter) => log.level = filter,
            Err(error) => section.problem("level", format!("`{level}`: {error}")),
        }
    }
    match section.text("format") {
        None | Some("text") => {}
        Some("json") => log.format = LogFormat::Json,
        Some(other) => section.problem(
            "format",
            format!("`{other}`: `text` and `json` are allowed"),
        ),
    }
    section.finish();
    log
}

fn read_connectors(root: &mut Section<'_>, problems: &Problems) -> ConnectorsConfig {
    let mut connectors = Vec::new();
    if let Some(mut section) = root.section("connectors") {
        for (name, table) in section.named_tables() {
            if !is_name(name) {
                section.problem(name, NAME_RULE);
            }
            let mut own = Section::new(format!("connectors.{name}"), table, problems);
            if !own.has("type") {
                own.problem("type", "missing: it says which connector this is");
            }
            connectors.push(ConnectorConfig {
                name: name.to_owned(),
                kind: own.text("type").unwrap_or_default().to_owned(),
                table: table.clone(),
            });
        }
    }
    ConnectorsConfig {
        file: problems.file().to_owned(),
        connectors,
    }
}

const NAME_RULE: &str = "1 to 64 of the characters A-Z a-z 0-9 . _ - are allowed, the first of them a letter or a digit";

fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let host_is_sound = if bracketed {
        host.get(1..host.len() - 1)
            .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
    } else {
        !host.is_empty()
            && host.len() <= 253
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    host_is_sound && port.parse::<u16>().is_ok_and(|port| port != 0)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
