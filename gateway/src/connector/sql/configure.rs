//! Reads the connector's own keys of the configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_host::names::host_port;

use super::Sql;
use super::class::{Changes, Class, Described, key_of, section_of};
use super::engine::Engine;
use super::ledger::Ledger;
use super::password::{BindPassword, Hashing, Scheme};
use super::postgres::connect::{Host, Target};
use super::postgres::{Postgres, Times, tls};
use super::sqlite::Sqlite;
use super::statement::{Dialect, Kind, Statement};
use crate::config::Section;
use crate::connector::Connector;
use crate::model::{AttributeRole, ObjectClass, Role, Verb};

/// The port of PostgreSQL.
const DEFAULT_PORT: u16 = 5432;

/// The classes that there may be. Objects of the last two are only read.
const CLASSES: [ObjectClass; 4] = [
    ObjectClass::Account,
    ObjectClass::Group,
    ObjectClass::ORGANIZATIONAL_UNIT,
    ObjectClass::COMPUTER,
];

/// Verbs that take one statement, those of accounts alone first.
const BY_VERB: [(Verb, bool); 7] = [
    (Verb::Enable, true),
    (Verb::Disable, true),
    (Verb::SetPassword, true),
    (Verb::Authenticate, true),
    (Verb::Create, false),
    (Verb::Rename, false),
    (Verb::Delete, false),
];

/// Reads the connector's own keys; what is wrong becomes a problem of the section.
pub fn configure(name: &str, section: &mut Section<'_>) -> Option<Arc<dyn Connector>> {
    let times = Times {
        statement: time(section, "statement_timeout", 10),
        lock: time(section, "lock_timeout", 5),
    };
    let connections = section.integer("connections", 1..=256).unwrap_or(8);
    let connections = usize::try_from(connections).unwrap_or(8);
    let engine = engine(section, times, connections);
    let dialect = match &engine {
        Some((engine, _)) => engine.dialect(),
        None if section.has("sqlite") => Dialect::Sqlite,
        None => Dialect::Postgres,
    };
    let ledger = section.text("ledger").map(Ledger::parse);
    let ledger = ledger.transpose().unwrap_or_else(|wrong| {
        section.problem("ledger", wrong);
        None
    });
    let hashing = Hashing::new(scheme(section));
    let mut roles = Vec::new();
    let classes = CLASSES.into_iter();
    let classes: Vec<_> = classes
        .filter_map(|one| class(section, dialect, one, &mut roles))
        .collect();
    if classes.is_empty() {
        section.problem(
            "account",
            "missing: [….account] or [….group] with a statement `read` is needed",
        );
    }
    let (engine, asks_password) = engine?;
    Some(Arc::new(Sql {
        name: name.to_owned(),
        engine,
        asks_password,
        classes,
        ledger,
        hashing,
        roles,
    }))
}

fn time(section: &mut Section<'_>, key: &str, default: u64) -> Duration {
    let range = Duration::from_millis(100)..=Duration::from_secs(600);
    section
        .duration(key, range)
        .unwrap_or(Duration::from_secs(default))
}

fn scheme(section: &mut Section<'_>) -> Scheme {
    let Some(text) = section.text("password_hash") else {
        return Scheme::default();
    };
    let found = Scheme::ALL.into_iter().find(|one| one.name() == text);
    found.unwrap_or_else(|| {
        section.problem(
            "password_hash",
            format!("`{text}`: \"statement\" (it hashes by itself), \"yescrypt\" and \"sha512\" are allowed"),
        );
        Scheme::default()
    })
}

/// The database, and whether the resource has to give the password for it.
fn engine(
    section: &mut Section<'_>,
    times: Times,
    connections: usize,
) -> Option<(Arc<dyn Engine>, bool)> {
    let sqlite = section.text("sqlite");
    let postgresql = section.text("postgresql");
    match (sqlite, postgresql) {
        (Some(path), None) => {
            let path = Path::new(path);
            if !path.is_absolute() {
                section.problem("sqlite", "an absolute path of a database is allowed");
                return None;
            }
            Some((Arc::new(Sqlite::new(path, times, connections)), false))
        }
        (None, Some(host)) => postgres(section, host, times, connections),
        _ => {
            section.problem(
                "postgresql",
                "either `postgresql` (HOST:PORT, or the folder of a Unix socket) or `sqlite` (a path) is needed",
            );
            // Asked for, so that they are not reported as unknown.
            for key in ["database", "user", "password_file", "address", "ca_file"] {
                section.text(key);
            }
            section.list("certificate_sha256", tls::parse_pin);
            section.boolean("pgbouncer");
            None
        }
    }
}

fn postgres(
    section: &mut Section<'_>,
    host: &str,
    times: Times,
    connections: usize,
) -> Option<(Arc<dyn Engine>, bool)> {
    let mut needed = |key: &str| {
        let text = section.text(key);
        if text.is_none() && section.is_sound(key) {
            section.problem(key, "missing: it is needed for PostgreSQL");
        }
        text.map(str::to_owned)
    };
    let (database, user) = (needed("database"), needed("user"));
    let password = match section.text("password_file") {
        Some(file) => {
            if !Path::new(file).is_absolute() {
                section.problem("password_file", "an absolute path is allowed");
            }
            BindPassword::File(PathBuf::from(file))
        }
        None => BindPassword::Setting,
    };
    let asks = matches!(password, BindPassword::Setting);
    let pooled = section.boolean("pgbouncer").unwrap_or(false);
    let host = server(section, host);
    let tls = tls_of(section, host.as_ref());
    let target = Target {
        host: host?,
        database: database?,
        user: user?,
        pooled,
        tls: tls?,
    };
    let engine = Postgres::new(target, password, times, connections);
    Some((Arc::new(engine), asks))
}

fn server(section: &mut Section<'_>, text: &str) -> Option<Host> {
    let address = section.text("address").and_then(|address| {
        let parsed = address.parse().ok();
        if parsed.is_none() {
            section.problem("address", format!("`{address}`: an IP address is allowed, to connect to in place of the one that the name has"));
        }
        parsed
    });
    if let Some(socket) = socket(text) {
        return Some(socket);
    }
    let Some((host, port)) = name(text) else {
        section.problem("postgresql", format!("`{text}`: HOST:PORT is allowed, such as \"db.example.com:5432\", or the folder of a Unix socket"));
        return None;
    };
    Some(Host::Name {
        host,
        port,
        address,
    })
}

fn name(text: &str) -> Option<(String, u16)> {
    let both = host_port(text, Some(DEFAULT_PORT)).ok()?;
    let (host, port) = both.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(unix)]
fn socket(text: &str) -> Option<Host> {
    let (folder, port) = match text.rsplit_once(':') {
        Some((folder, port)) => (folder, port.parse().ok()?),
        None => (text, DEFAULT_PORT),
    };
    folder.starts_with('/').then(|| Host::Socket {
        folder: PathBuf::from(folder),
        port,
    })
}

#[cfg(windows)]
fn socket(_: &str) -> Option<Host> {
    None
}

/// `None`: something is wrong. `Some(None)`: a Unix socket, which needs none.
fn tls_of(
    section: &mut Section<'_>,
    host: Option<&Host>,
) -> Option<Option<tokio_postgres_rustls::MakeRustlsConnect>> {
    let file = section.text("ca_file").map(PathBuf::from);
    let pins = section.list("certificate_sha256", tls::parse_pin);
    if !matches!(host, Some(Host::Name { .. })) {
        return Some(None);
    }
    let made = match (file, pins) {
        (Some(file), None) => tls::by_authority(&file).map_err(|wrong| ("ca_file", wrong)),
        (None, Some(pins)) if !pins.is_empty() => {
            tls::by_pins(pins).map_err(|wrong| ("certificate_sha256", wrong))
        }
        _ if !section.is_sound("certificate_sha256") => return None,
        _ => Err((
            "ca_file",
            "either `ca_file` (the CA that signed the database's certificate) or `certificate_sha256` (a list of pins) is needed: there is no connection without TLS".to_owned(),
        )),
    };
    match made {
        Ok(tls) => Some(Some(tls)),
        Err((key, wrong)) => {
            section.problem(key, wrong);
            None
        }
    }
}

fn class(
    section: &mut Section<'_>,
    dialect: Dialect,
    class: ObjectClass,
    roles: &mut Vec<AttributeRole>,
) -> Option<Class> {
    let mut own = section.section(&section_of(class))?;
    let is_only_read = matches!(class, ObjectClass::Other(_));
    if !is_only_read {
        read_roles(&mut own, class, roles);
    }
    let read = statement(&mut own, dialect, "read", &[Kind::Select], |_| false);
    if !own.has("read") {
        own.problem(
            "read",
            "missing: it is a SELECT of all objects, with columns `id`, `name` and the attributes",
        );
    }
    let mut by_verb = BTreeMap::new();
    for (verb, accounts_only) in BY_VERB {
        if is_only_read || accounts_only && class != ObjectClass::Account {
            continue;
        }
        let kinds: &[Kind] = match verb {
            Verb::Authenticate => &[Kind::Select],
            _ => CHANGES,
        };
        let found = statement(&mut own, dialect, key_of(verb), kinds, |parameter| {
            takes(verb, parameter)
        });
        by_verb.extend(found.map(|found| (verb, found)));
    }
    let changes = changes(&mut own, dialect);
    let mut by_attribute = |table| match is_only_read {
        true => BTreeMap::new(),
        false => by_attribute(&mut own, dialect, table),
    };
    let found = Class {
        class,
        read: read?,
        by_verb,
        update: by_attribute("update"),
        add: by_attribute("add"),
        remove: by_attribute("remove"),
        changes,
        described: Described::default(),
    };
    own.finish();
    Some(found)
}

const CHANGES: &[Kind] = &[
    Kind::Select,
    Kind::Insert,
    Kind::Update,
    Kind::Delete,
    Kind::Call,
];

/// Whether the statement of a verb may name this parameter.
fn takes(verb: Verb, parameter: &str) -> bool {
    match (verb, parameter) {
        (Verb::Create, "id" | "new_name" | "value") => false,
        (Verb::Create, _) | (_, "id" | "name") | (Verb::Rename, "new_name") => true,
        (Verb::SetPassword | Verb::Authenticate, "password") => true,
        (Verb::Authenticate, _) => false,
        (_, "call") => true,
        _ => false,
    }
}

fn statement(
    section: &mut Section<'_>,
    dialect: Dialect,
    key: &str,
    kinds: &[Kind],
    takes: impl Fn(&str) -> bool,
) -> Option<Statement> {
    let text = section.text(key)?;
    let statement = match Statement::parse(dialect, text) {
        Ok(statement) => statement,
        Err(wrong) => {
            section.problem(key, wrong);
            return None;
        }
    };
    if !kinds.contains(&statement.kind) {
        section.problem(key, "a SELECT is allowed here");
        return None;
    }
    if statement.kind == Kind::Call && dialect == Dialect::Sqlite {
        section.problem(key, "SQLite has no CALL");
        return None;
    }
    if let Some(unknown) = statement.parameters.iter().find(|name| !takes(name)) {
        section.problem(
            key,
            format!("there is no parameter `:{unknown}` here: see OPERATIONS.md for those that there are"),
        );
        return None;
    }
    Some(statement)
}

fn by_attribute(
    section: &mut Section<'_>,
    dialect: Dialect,
    table: &str,
) -> BTreeMap<String, Statement> {
    let Some(mut own) = section.section(table) else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    let keys: Vec<_> = own.named_texts().into_iter().map(|(key, _)| key).collect();
    for key in keys {
        let takes = |parameter: &str| matches!(parameter, "id" | "name" | "value" | "call");
        let statement = statement(&mut own, dialect, key, CHANGES, takes);
        found.extend(statement.map(|statement| (key.to_owned(), statement)));
    }
    own.finish();
    found
}

fn changes(section: &mut Section<'_>, dialect: Dialect) -> Option<Changes> {
    let overlap = section.integer("overlap", 0..=1_000_000).unwrap_or(60);
    let statement = statement(section, dialect, "changes", &[Kind::Select], |_| false)?;
    Some(Changes {
        statement,
        overlap: i64::try_from(overlap).unwrap_or(60),
    })
}

/// What the attributes are to the guard rails. Left out: those of the names that a script has too.
fn read_roles(section: &mut Section<'_>, class: ObjectClass, roles: &mut Vec<AttributeRole>) {
    let known: &[(&str, Role, &[&str])] = match class {
        ObjectClass::Account => &[
            (
                "names_groups",
                Role::NamesGroups,
                &["groups", "primary_group"],
            ),
            ("numeric_id", Role::NumericId, &["uid"]),
            ("group_number", Role::GroupNumber, &["gid"]),
        ],
        _ => &[
            ("names_accounts", Role::NamesAccounts, &["members"]),
            ("numeric_id", Role::NumericId, &["uid", "gid"]),
        ],
    };
    for (key, role, default) in known {
        let named = section.list(key, |name| Ok(name.to_owned()));
        let named = named.unwrap_or_else(|| default.iter().map(|&name| name.to_owned()).collect());
        for attribute in named {
            roles.push(AttributeRole {
                class,
                attribute: attribute.into(),
                role: *role,
            });
        }
    }
}
