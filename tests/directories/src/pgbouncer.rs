//! PgBouncer before PostgreSQL: many clients share few connections, a transaction at a time.

use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::path::Path;

use portcullis_tests::harness::{Process, Site, eventually};
use rustix::process::geteuid;

use crate::authority::{Authority, Files};
use crate::postgres::{NOBODY, as_nobody};
use crate::{Postgres, loopback_address};

const PORT: u16 = 6432;

/// For how long a client keeps a connection to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// For a transaction.
    Transaction,
    /// Until it is gone.
    Session,
}

/// A pooler before a cluster. It speaks over TLS on both sides.
#[derive(Debug)]
pub struct PgBouncer {
    _process: Process,
    address: Ipv4Addr,
    files: Files,
    _site: Site,
}

impl PgBouncer {
    /// Starts one with two connections to the cluster, for this user and password of it.
    pub async fn before(postgres: &Postgres, user: &str, password: &str) -> Self {
        Self::pooling(postgres, user, password, PoolMode::Transaction).await
    }

    /// As [`Self::before`]; with 20 connections where each client keeps one.
    pub async fn pooling(postgres: &Postgres, user: &str, password: &str, mode: PoolMode) -> Self {
        let (mode, size) = match mode {
            PoolMode::Transaction => ("transaction", 2),
            PoolMode::Session => ("session", 20),
        };
        let site = Site::new();
        let address = loopback_address();
        let names = [Postgres::NAME, "localhost", &address.to_string()];
        let files = Authority::ours().certificate(&names).write(site.path());
        let users = site.file("users", 0o600, &format!("\"{user}\" \"{password}\"\n"));
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = {address}\nlisten_port = {PORT}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\n\
             default_pool_size = {size}\nclient_tls_sslmode = require\nclient_tls_key_file = {}\n\
             client_tls_cert_file = {}\nserver_tls_sslmode = verify-full\nserver_tls_ca_file = {}\n",
            postgres.address(),
            postgres.port(),
            users.display(),
            files.key.display(),
            files.certificate.display(),
            files.authority.display(),
        );
        let settings = site.file("pgbouncer.ini", 0o600, &settings);
        if geteuid().is_root() {
            let paths = [
                site.path(),
                &users,
                &settings,
                &files.key,
                &files.certificate,
                &files.authority,
            ];
            for path in paths {
                let _ = chown(path, Some(NOBODY), Some(NOBODY));
            }
        }
        let mut command = as_nobody(Path::new("pgbouncer"));
        command.arg(&settings);
        let process = Process::start(command, &site.path().join("log"));
        eventually("PgBouncer to listen", async || {
            let open = tokio::net::TcpStream::connect((address, PORT)).await;
            open.is_ok().then_some(())
        })
        .await;
        Self {
            _process: process,
            address,
            files,
            _site: site,
        }
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The file with the certificate of the authority that issued its own.
    pub fn authority(&self) -> &Path {
        &self.files.authority
    }
}
