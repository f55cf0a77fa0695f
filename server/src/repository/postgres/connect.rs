//! One connection to the database: where to, by which certificate, as whom.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_host::private_files;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use super::link::Link;
use crate::config::{DatabaseHost, DatabasePassword, Postgres as Settings};
use crate::repository::RepositoryError;
use crate::repository::engine::Schema;
use crate::repository::lineage::{Lineage, Met};

/// How long a connection to one host may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// After how long without an answer to what was sent a connection is given up, in both directions:
/// less than a server may go without an acknowledged beat.
const UNANSWERED: Duration = Duration::from_millis(2_500);
/// Bytes of a password at most.
const MAX_PASSWORD: usize = 4_096;
/// Where systemd puts credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// The oldest version of PostgreSQL that is taken.
const OLDEST: u32 = 14;

/// The database of a repository, and the schema in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::repository) struct Target {
    pub(super) settings: Settings,
    /// The schema that holds the tables.
    pub(super) schema: String,
    /// What all connections to it have met.
    met: Arc<Met>,
}

impl Target {
    /// A database of which nothing is known yet.
    pub(super) fn new(settings: Settings, schema: String) -> Self {
        Self {
            settings,
            schema,
            met: Arc::default(),
        }
    }

    /// What is known of the database is what others know who were told of this place.
    pub(in crate::repository) fn of(place: &Schema) -> Self {
        Self {
            settings: place.settings.clone(),
            schema: place.name.clone(),
            met: Arc::clone(&place.met),
        }
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        self.settings.to_string()
    }

    /// Connects, and sets what holds for every transaction of ours. A primary that a promotion has
    /// left behind is not gone back to, as long as this program runs.
    ///
    /// # Errors
    /// [`RepositoryError::Away`], `Unsuitable`.
    pub(super) fn connect(&self) -> Result<Link, RepositoryError> {
        let hosts = &self.settings.hosts;
        let link = self.connect_to(hosts)?;
        let found = link.lineage();
        if self.met.meet(found).is_ok() {
            return Ok(link);
        }
        for host in hosts.iter().filter(|_| hosts.len() > 1) {
            if let Ok(link) = self.connect_to(std::slice::from_ref(host))
                && self.met.meet(link.lineage()).is_ok()
            {
                return Ok(link);
            }
        }
        match self.met.settle_for(found) {
            Ok(()) => Ok(link),
            Err(known) if known.system == found.system => Err(self.away(&format!(
                "what answers is an earlier primary ({found}), and this server has worked with its successor ({known}): end that one, and let [repository] hosts name the primary"
            ))),
            Err(known) => Err(self.away(&format!(
                "what answers is another cluster ({found}) than the one that this server works with ({known}): where that is meant, restart the server"
            ))),
        }
    }

    /// Whether this connection may be used on: none to a newer timeline was made since.
    pub(super) fn is_current(&self, link: &Link) -> bool {
        self.met.is_current(link.lineage())
    }

    fn connect_to(&self, hosts: &[DatabaseHost]) -> Result<Link, RepositoryError> {
        let config = self.config(hosts)?;
        let place = self.place();
        let link = match self.tls()? {
            None => Link::connect(&config, NoTls, &place)?,
            Some(tls) => Link::connect(&config, tls, &place)?,
        };
        let found = link.settings().map_err(|fault| self.away(&fault))?;
        self.must_suit(&found)?;
        link.batch(&self.session())
            .map_err(|fault| self.away(&fault))?;
        Ok(link.to(found.lineage))
    }

    /// A pooler that gives each transaction another session keeps neither locks nor settings. It is
    /// known by what it does: while another connection has a transaction open, this one is served
    /// by another process of the database.
    ///
    /// # Errors
    /// [`RepositoryError::Unsuitable`], `Away`.
    pub(super) fn must_not_be_pooled(&self, link: &mut Link) -> Result<(), RepositoryError> {
        let before = link.process().map_err(|fault| self.away(&fault))?;
        let beside = self.connect()?;
        let held = "BEGIN; SELECT pg_backend_pid()";
        beside.batch(held).map_err(|fault| self.away(&fault))?;
        let after = link.process().map_err(|fault| self.away(&fault))?;
        if before == after {
            return Ok(());
        }
        Err(self.unsuitable(
            "a pooler stands between that gives each transaction another session (PgBouncer, pool_mode transaction): connect to the database itself, or set pool_mode to session",
        ))
    }

    /// The database does not answer.
    pub(super) fn away(&self, reason: &impl std::fmt::Display) -> RepositoryError {
        RepositoryError::Away {
            place: self.place(),
            reason: reason.to_string(),
        }
    }

    /// The database cannot be used as it is.
    pub(super) fn unsuitable(&self, reason: impl Into<String>) -> RepositoryError {
        RepositoryError::Unsuitable {
            place: self.place(),
            reason: reason.into(),
        }
    }

    fn must_suit(&self, found: &Found) -> Result<(), RepositoryError> {
        if found.version / 10_000 < OLDEST {
            let version = found.version / 10_000;
            return Err(self.unsuitable(format!(
                "it is PostgreSQL {version}: version {OLDEST} or a newer one is needed"
            )));
        }
        if found.encoding != "UTF8" {
            return Err(self.unsuitable(format!(
                "its encoding is {}: make the database anew with encoding UTF8 (`createdb -E UTF8 -T template0`)",
                found.encoding
            )));
        }
        Ok(())
    }

    fn config(&self, hosts: &[DatabaseHost]) -> Result<Config, RepositoryError> {
        let settings = &self.settings;
        let mut config = Config::new();
        for host in hosts {
            match host {
                DatabaseHost::Network { host, port } => config.host(host).port(*port),
                DatabaseHost::Socket { folder, port } => config.host_path(folder).port(*port),
            };
        }
        config
            .ssl_mode(match settings.is_local() {
                true => SslMode::Disable,
                false => SslMode::Require,
            })
            .user(&settings.user)
            .dbname(&settings.database)
            .application_name("portcullis-server")
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT)
            .tcp_user_timeout(UNANSWERED)
            .keepalives_idle(Duration::from_secs(1))
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(2);
        if let Some(password) = &settings.password {
            config.password(&*self.password(password)?);
        }
        Ok(config)
    }

    /// Read whenever a connection is made: it may be changed while the server runs.
    fn password(&self, source: &DatabasePassword) -> Result<Zeroizing<Vec<u8>>, RepositoryError> {
        let unreadable = |path: &PathBuf, error: &dyn std::fmt::Display| {
            self.unsuitable(format!(
                "its password cannot be read from {}: {error}",
                path.display()
            ))
        };
        let path = match source {
            DatabasePassword::File(path) => {
                private_files::check_private(path)
                    .map_err(|error| self.unsuitable(error.to_string()))?;
                path.clone()
            }
            // systemd vouches for who may read it.
            DatabasePassword::Credential(name) => {
                let folder = std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from);
                let folder = folder.ok_or_else(|| {
                    self.unsuitable(format!(
                        "its password is to be the credential `{name}`, and {CREDENTIALS_DIRECTORY} is not set: start the server by systemd, with LoadCredential={name}:…"
                    ))
                })?;
                folder.join(name)
            }
        };
        let content = private_files::read_bounded(&path, MAX_PASSWORD);
        let mut content = content.map_err(|error| unreadable(&path, &error))?;
        while content.last().is_some_and(|byte| b"\r\n".contains(byte)) {
            content.pop();
        }
        match content.len() {
            0 => Err(unreadable(&path, &"it is empty")),
            MAX_PASSWORD.. => Err(unreadable(&path, &"it is too long")),
            _ => Ok(content),
        }
    }

    /// `None`: on this host there is none.
    fn tls(&self) -> Result<Option<MakeRustlsConnect>, RepositoryError> {
        if self.settings.is_local() {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        match &self.settings.ca_file {
            Some(file) => {
                let bad = |error: &dyn std::fmt::Display| {
                    self.unsuitable(format!("[repository] ca_file {}: {error}", file.display()))
                };
                let found = CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))?;
                for certificate in found {
                    let certificate = certificate.map_err(|error| bad(&error))?;
                    roots.add(certificate).map_err(|error| bad(&error))?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
            }
        }
        if roots.is_empty() {
            return Err(self.unsuitable(
                "no authority is known that its certificate could be from: give [repository] ca_file",
            ));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unsuitable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(MakeRustlsConnect::new(config)))
    }

    /// What holds for every transaction of ours. Whoever stops inside one must not stop the others:
    /// the times are below 3 s. A `remote_apply` that the database is set to stays.
    fn session(&self) -> String {
        let limit = UNANSWERED.as_millis();
        format!(
            "SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') <> 'remote_apply';
             SET search_path TO {}, pg_temp;
             SET idle_in_transaction_session_timeout TO {limit};
             SET lock_timeout TO {limit};
             SET tcp_user_timeout TO 10000;
             SET tcp_keepalives_idle TO 5;
             SET tcp_keepalives_interval TO 1;
             SET tcp_keepalives_count TO 5;
             SET client_min_messages TO warning;
             SET row_security TO off;
             SET standard_conforming_strings TO on;",
            quoted(&self.schema)
        )
    }
}

/// A name as it stands in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What a database says of itself.
#[derive(Debug)]
pub(super) struct Found {
    /// Ten thousand times its version, and its update.
    pub(super) version: u32,
    /// How it stores texts.
    pub(super) encoding: String,
    /// Which cluster it is of, and at which timeline.
    pub(super) lineage: Lineage,
}
