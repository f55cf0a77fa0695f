//! PostgreSQL as the target, and a bare client of it.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use portcullis_common::listing::{Content, Plain};
use portcullis_directories::Postgres;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::people::Differs;
use super::{CONNECTOR, Hashed};
use crate::Failure;

const USER: &str = "portcullis";
const PASSWORD: &str = "gateway-secret";

const TABLE: &str = "
    CREATE TABLE people (
        id bigint PRIMARY KEY, login text NOT NULL UNIQUE, active boolean NOT NULL,
        full_name text NOT NULL, mail text NOT NULL, department text NOT NULL, room integer NOT NULL);
    CREATE ROLE portcullis LOGIN PASSWORD 'gateway-secret';
    GRANT SELECT ON people TO portcullis;";

/// As [`Person::new`](super::people::Person::new) has them.
const FILL: &str = "
    INSERT INTO people SELECT g, 'user' || lpad(g::text, 8, '0'), true,
        'Person ' || g || ' of department ' || g % 97, 'user' || lpad(g::text, 8, '0') || '@example.org',
        'department ' || g % 97, g % 4096
    FROM generate_series(0, <LAST>) g;";

const ROWS: &str = "SELECT id, login, active, full_name, mail, department, room FROM people";

/// The columns of the file for it.
pub(super) const COLUMNS: [&str; 4] = ["full_name", "mail", "department", "room"];

/// Starts one with so many accounts.
pub(super) async fn filled(accounts: usize) -> Postgres {
    let postgres = Postgres::start().await;
    postgres.query(TABLE);
    postgres.query(&FILL.replace("<LAST>", &(accounts.max(1) - 1).to_string()));
    let missing = (0..accounts).filter(|number| Differs::of(*number) == Some(Differs::Missing));
    let missing: Vec<_> = missing.map(|number| number.to_string()).collect();
    if !missing.is_empty() {
        let numbers = missing.join(",");
        postgres.query(&format!("DELETE FROM people WHERE id IN ({numbers})"));
    }
    postgres.query("VACUUM ANALYZE people");
    postgres
}

/// The connector on it.
pub(super) fn config(postgres: &Postgres, password: &std::path::Path) -> String {
    format!(
        "[connectors.{CONNECTOR}]\ntype = \"sql\"\npostgresql = \"localhost:{}\"\naddress = \"{}\"\n\
         database = \"postgres\"\nuser = {USER:?}\npassword_file = {password:?}\nca_file = {:?}\n\
         [connectors.{CONNECTOR}.account]\n\
         read = \"SELECT id, login AS name, active AS enabled, full_name, mail, department, room FROM people\"\n",
        postgres.port(),
        postgres.address(),
        postgres.authority()
    )
}

/// The gateway's password for it.
pub(super) fn password() -> &'static str {
    PASSWORD
}

/// Reads all rows over one connection as they come, and hashes each.
pub(super) async fn bare(postgres: &Postgres) -> Result<Hashed, Failure> {
    let mut config = tokio_postgres::Config::new();
    config
        .host("localhost")
        .hostaddr(postgres.address().into())
        .port(postgres.port())
        .user(USER)
        .password(PASSWORD)
        .dbname("postgres")
        .ssl_mode(SslMode::Require);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(postgres.authority())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connected = config.connect(MakeRustlsConnect::new(tls)).await;
    let (client, connection) = connected?;
    let driver = tokio::spawn(connection);
    let rows = client.query_raw(ROWS, Vec::<&dyn ToSql>::new()).await?;
    let mut rows = std::pin::pin!(rows);
    let (mut hashed, mut content) = (Hashed::new(), Content::default());
    while let Some(row) = rows.try_next().await? {
        content.clear();
        content.single("id", &Plain::integer(row.try_get(0)?));
        content.single(
            "login",
            &Plain::bytes(row.try_get::<_, &str>(1)?.as_bytes()),
        );
        content.single("active", &Plain::boolean(row.try_get(2)?));
        for (column, name) in (3..6).zip(COLUMNS) {
            content.single(
                name,
                &Plain::bytes(row.try_get::<_, &str>(column)?.as_bytes()),
            );
        }
        let room: i32 = row.try_get(6)?;
        content.single("room", &Plain::integer(room.into()));
        hashed.add(&content);
    }
    drop(client);
    driver.await??;
    Ok(hashed)
}
