//! The relay's configuration: a TOML file of its own, for it runs on a host of its own.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_host::config::{self, ConfigProblem, Problems, Section};
use portcullis_host::log::Log;
use portcullis_host::names::{host_port, is_name};

/// The file read where none is named.
pub const DEFAULT_FILE: &str = "/etc/portcullis/relay.toml";

/// Pairs of addresses at most.
const MAX_FORWARDS: usize = 256;
const SECOND: Duration = Duration::from_secs(1);

/// The relay's configuration, checked.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// From where to where; not empty.
    pub forwards: Vec<Forward>,
    /// What it may take of its host.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
}

/// `[forward.NAME]`: one port, and where its connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Its name in the log.
    pub name: String,
    /// Where connections are accepted.
    pub listen: SocketAddr,
    /// HOST:PORT where each goes.
    pub target: String,
}

/// `[limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address (IPv6: of one /64).
    pub connections_per_address: usize,
    /// Connections in all over which bytes have not gone in both directions yet.
    pub half_open: usize,
    /// The same of one address.
    pub half_open_per_address: usize,
    /// How long a connection may be half-open, the dialling of its target included, and how long
    /// one end may stay once the other has closed.
    pub half_open_time: Duration,
    /// Bytes that may wait for a slow receiver, in each direction of each connection.
    pub buffer: usize,
    /// How long a connection may be silent in both directions.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_per_address: 1_024,
            half_open: 512,
            half_open_per_address: 64,
            half_open_time: Duration::from_secs(10),
            buffer: 16 * 1024,
            idle: Duration::from_secs(120),
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RelayConfigError {
    /// The file cannot be read.
    #[error(
        "cannot read the relay's configuration {path}: {source}; `--config FILE` names another",
        path = path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is wrong: all of it, in the order of the file.
    #[error("{}", Lines(.0))]
    Invalid(Vec<ConfigProblem>),
}

struct Lines<'a>(&'a [ConfigProblem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the relay's configuration is wrong; nothing was started")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl RelayConfig {
    /// Reads `file`, or where none is named [`DEFAULT_FILE`].
    ///
    /// # Errors
    /// [`RelayConfigError`].
    pub fn load(file: Option<&Path>) -> Result<Self, RelayConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = config::read_file(path).map_err(|source| RelayConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Parses the text of a configuration; `path` is for messages.
    ///
    /// # Errors
    /// [`RelayConfigError::Invalid`] with all that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RelayConfigError> {
        config::parse(path, text, root).map_err(RelayConfigError::Invalid)
    }
}

fn root(mut root: Section<'_>, problems: &Problems) -> RelayConfig {
    let config = RelayConfig {
        forwards: forwards(&mut root, problems),
        limits: limits(&mut root),
        log: root
            .section("log")
            .map_or_else(Log::default, |mut section| {
                let log = Log::read(&mut section);
                section.finish();
                log
            }),
    };
    root.finish();
    config
}

fn forwards(root: &mut Section<'_>, problems: &Problems) -> Vec<Forward> {
    let tables = root.section("forward").map(|mut all| all.named_tables());
    let tables = tables.unwrap_or_default();
    if tables.is_empty() || tables.len() > MAX_FORWARDS {
        problems.add(
            None,
            "forward",
            format!(
                "1 to {MAX_FORWARDS} tables [forward.NAME] are allowed, each with `listen` and `target`"
            ),
        );
    }
    let mut forwards: Vec<Forward> = Vec::new();
    for (name, table) in tables {
        let mut section = Section::new(format!("forward.{name}"), table, problems);
        if let Some(forward) = forward(name, &mut section) {
            if forwards.iter().any(|other| other.listen == forward.listen) {
                section.problem("listen", "another [forward.NAME] listens there");
            }
            forwards.push(forward);
        }
        section.finish();
    }
    forwards
}

fn forward(name: &str, section: &mut Section<'_>) -> Option<Forward> {
    const LISTEN: &str = "IP:PORT to listen on is needed, like \"0.0.0.0:9279\" or \"[::]:9279\", with a port other than 0";
    const TARGET: &str = "HOST:PORT to dial is needed, like \"central.example.com:9279\"";
    if !is_name(name) {
        section.problem(
            "",
            "1 to 64 of the characters A-Z a-z 0-9 . _ - are allowed for a name",
        );
    }
    let listen = section.text("listen").and_then(|text| text.parse().ok());
    let listen = listen.filter(|address: &SocketAddr| address.port() != 0);
    if listen.is_none() {
        section.problem("listen", LISTEN);
    }
    let target = section
        .text("target")
        .and_then(|text| host_port(text, None).ok());
    if target.is_none() {
        section.problem("target", TARGET);
    }
    Some(Forward {
        name: name.to_owned(),
        listen: listen?,
        target: target?,
    })
}

fn limits(root: &mut Section<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut section) = root.section("limits") else {
        return limits;
    };
    for (key, most, limit) in [
        ("connections", 1_000_000, &mut limits.connections),
        (
            "connections_per_address",
            1_000_000,
            &mut limits.connections_per_address,
        ),
        ("half_open", 65_536, &mut limits.half_open),
        (
            "half_open_per_address",
            65_536,
            &mut limits.half_open_per_address,
        ),
    ] {
        if let Some(number) = section.integer(key, 1..=most) {
            *limit = usize::try_from(number).unwrap_or(usize::MAX);
        }
    }
    if let Some(kib) = section.integer("buffer_kib", 1..=16) {
        limits.buffer = usize::try_from(kib).unwrap_or(1) * 1024;
    }
    if let Some(time) = section.duration("half_open_time", SECOND..=SECOND * 60) {
        limits.half_open_time = time;
    }
    if let Some(time) = section.duration("idle", SECOND..=SECOND * 86_400) {
        limits.idle = time;
    }
    section.finish();
    limits
}
