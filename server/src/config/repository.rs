//! `[repository]`: the engine that stores what the site has, and how it is reached.

use std::fmt;
use std::path::{Path, PathBuf};

use portcullis_host::config::{Problems, Section};
use portcullis_host::names::host_port;

use super::values;

/// The port of PostgreSQL.
const DEFAULT_PORT: u16 = 5432;
/// The longest name of a database or of a user: PostgreSQL cuts longer ones silently.
const MAX_NAME: usize = 63;

/// The engine that stores the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// A file in the data folder.
    #[default]
    Sqlite,
    /// A database of PostgreSQL.
    Postgres(Postgres),
}

/// A database of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// Where it may be, in the order in which they are tried; all of one kind, and not empty. The
    /// first that takes changes is used.
    pub hosts: Vec<DatabaseHost>,
    /// The name of the database.
    pub database: String,
    /// The user to be there.
    pub user: String,
    /// Where that user's password comes from; `None`: it needs none.
    pub password: Option<DatabasePassword>,
    /// The certificates of the authorities that the database's may be from; `None`: those of the
    /// system.
    pub ca_file: Option<PathBuf>,
}

/// Where a database may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseHost {
    /// Over the network, by TLS.
    Network {
        /// A name or an address, the one in the certificate.
        host: String,
        /// The port.
        port: u16,
    },
    /// On this host.
    Socket {
        /// The folder of its Unix socket.
        folder: PathBuf,
        /// The port, which is part of the socket's name.
        port: u16,
    },
}

/// Where the password of the database's user comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabasePassword {
    /// A file of mode 0600 (`password_file`).
    File(PathBuf),
    /// A credential of the service, by systemd (`password_credential`).
    Credential(String),
}

impl Postgres {
    /// Whether it is reached through sockets of this host alone.
    pub fn is_local(&self) -> bool {
        let local = |host: &DatabaseHost| matches!(host, DatabaseHost::Socket { .. });
        self.hosts.iter().all(local)
    }
}

/// As messages name it: where it is, and never a secret.
impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgresql://")?;
        for (index, host) in self.hosts.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match host {
                DatabaseHost::Network { host, port } if host.contains(':') => {
                    write!(f, "[{host}]:{port}")?;
                }
                DatabaseHost::Network { host, port } => write!(f, "{host}:{port}")?,
                DatabaseHost::Socket { folder, port } => write!(f, "{}:{port}", folder.display())?,
            }
        }
        write!(f, "/{}", self.database)
    }
}

/// Reads the section.
pub(super) fn read(section: &mut Section<'_>, problems: &Problems) -> Engine {
    let engine = section.text("engine");
    match engine {
        Some("postgres") => postgres(section, problems).map_or(Engine::Sqlite, Engine::Postgres),
        None | Some("sqlite") => {
            let given = KEYS.into_iter().find(|key| section.has(key));
            if let Some(key) = given {
                section.problem(
                    key,
                    "only a database of PostgreSQL has this: set engine = \"postgres\", or leave this out",
                );
                // They are known, and said to be out of place already.
                let _ = postgres_keys(section);
            }
            Engine::Sqlite
        }
        Some(_) => {
            section.problem(
                "engine",
                "no engine: give \"sqlite\" (a file in the data folder) or \"postgres\"",
            );
            let _ = postgres_keys(section);
            Engine::Sqlite
        }
    }
}

/// The keys of PostgreSQL.
const KEYS: [&str; 6] = [
    "hosts",
    "database",
    "user",
    "password_file",
    "password_credential",
    "ca_file",
];

/// What is said of a database.
struct Given {
    hosts: Option<Vec<DatabaseHost>>,
    database: Option<String>,
    user: Option<String>,
    file: Option<PathBuf>,
    credential: Option<String>,
    ca_file: Option<PathBuf>,
}

fn postgres_keys(section: &mut Section<'_>) -> Given {
    Given {
        hosts: section.list("hosts", parse_host),
        database: name(section, "database"),
        user: name(section, "user"),
        file: values::absolute_path(section, "password_file"),
        credential: values::credential(section, "password_credential"),
        ca_file: values::absolute_path(section, "ca_file"),
    }
}

/// `None`: something is wrong, and told.
fn postgres(section: &mut Section<'_>, problems: &Problems) -> Option<Postgres> {
    let Given {
        hosts,
        database,
        user,
        file,
        credential,
        ca_file,
    } = postgres_keys(section);
    let password = match (file, credential) {
        (Some(_), Some(_)) => {
            problems.add(
                None,
                "",
                "[repository] password_file and password_credential are both given: leave one of them out",
            );
            return None;
        }
        (Some(file), None) => Some(DatabasePassword::File(file)),
        (None, credential) => credential.map(DatabasePassword::Credential),
    };
    if !section.is_sound("hosts") {
        return None;
    }
    let hosts = hosts.unwrap_or_default();
    if hosts.is_empty() {
        let missing = "[repository] hosts is missing: give the hosts of the database, like [\"db1.example.com\", \"db2.example.com:5433\"], or the folder of its socket, [\"/run/postgresql\"]";
        problems.add(None, "", missing);
        return None;
    }
    let found = Postgres {
        hosts,
        database: database.unwrap_or_else(|| "portcullis".to_owned()),
        user: user.unwrap_or_else(|| "portcullis".to_owned()),
        password,
        ca_file,
    };
    let sockets = found.hosts.iter();
    let sockets = sockets.filter(|host| matches!(host, DatabaseHost::Socket { .. }));
    let sockets = sockets.count();
    if sockets > 0 && sockets < found.hosts.len() {
        section.problem(
            "hosts",
            "hosts and sockets together: give either hosts, which are reached by TLS, or folders of sockets",
        );
        return None;
    }
    if sockets > 0 && found.ca_file.is_some() {
        section.problem(
            "ca_file",
            "there is no TLS on a socket of this host: leave this out",
        );
        return None;
    }
    Some(found)
}

fn parse_host(text: &str) -> Result<DatabaseHost, String> {
    if text.starts_with('/') {
        let (folder, port) = match text.rsplit_once(':') {
            Some((folder, port)) => (folder, port.parse().ok().filter(|port| *port > 0)),
            None => (text, Some(DEFAULT_PORT)),
        };
        let folder = Path::new(folder).to_owned();
        return port
            .map(|port| DatabaseHost::Socket { folder, port })
            .ok_or_else(|| "no port: give FOLDER or FOLDER:PORT".to_owned());
    }
    let whole = host_port(text, Some(DEFAULT_PORT)).map_err(|error| error.to_string())?;
    let (host, port) = whole.rsplit_once(':').unwrap_or((&whole, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(DatabaseHost::Network {
        host: host.to_owned(),
        port: port.parse().map_err(|_| "no port".to_owned())?,
    })
}

/// The name of a database or of a user.
fn name(section: &mut Section<'_>, key: &str) -> Option<String> {
    let name = section.text(key)?;
    if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
        section.problem(
            key,
            format!("not a name: give 1 to {MAX_NAME} bytes without control characters"),
        );
        return None;
    }
    Some(name.to_owned())
}
