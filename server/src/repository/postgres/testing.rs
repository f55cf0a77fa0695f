//! The conformance suite on PostgreSQL: each file that a test names is a schema of its own in the
//! database that `PORTCULLIS_TEST_POSTGRES` names, as the folder of its socket and its port.

use std::path::Path;

use super::Postgres;
use super::connect::Target;
use super::schema::lock_number;
use crate::config::{self, DatabaseHost};
use crate::repository::engine::Schema;
use crate::repository::{Database, RepositoryError, Store};

/// The database, where tests are to run on one.
fn settings() -> Option<config::Postgres> {
    let place = std::env::var("PORTCULLIS_TEST_POSTGRES").ok()?;
    let (folder, port) = place.rsplit_once(':').unwrap();
    Some(config::Postgres {
        hosts: vec![DatabaseHost::Socket {
            folder: folder.into(),
            port: port.parse().unwrap(),
        }],
        database: "portcullis".to_owned(),
        user: "portcullis".to_owned(),
        password: None,
        ca_file: None,
    })
}

/// Whether tests run on PostgreSQL: what is about SQLite's file has nothing to show then.
pub(crate) fn on_postgres() -> bool {
    settings().is_some()
}

/// Where tests have the repository that they want in this file.
pub(crate) fn in_file(path: &Path) -> Store {
    let Some(settings) = settings() else {
        return Store::File(path.to_owned());
    };
    let name = lock_number(&path.display().to_string(), "test").cast_unsigned();
    Store::Postgres(Schema {
        settings,
        name: format!("test_{name:016x}"),
        met: std::sync::Arc::default(),
        path: path.to_owned(),
    })
}

/// Makes the schema, where one is wanted.
pub(crate) async fn create(place: &Store) -> Result<(), RepositoryError> {
    match place {
        Store::File(_) => Ok(()),
        Store::Postgres(schema) => {
            Postgres::create(schema.settings.clone(), schema.name.clone()).await
        }
    }
}

/// Carries out statements on a connection of their own, as another program would. `false`: the
/// repository is in a file.
pub(crate) fn tamper(path: &Path, sql: &str) -> bool {
    let Store::Postgres(Schema { settings, name, .. }) = in_file(path) else {
        return false;
    };
    run(settings, &name, sql);
    true
}

/// Carries out statements in a schema, as another program would.
pub(crate) fn run(settings: config::Postgres, schema: &str, sql: &str) {
    let sql = sql.replace(" x'", " '\\x").replace("(x'", "('\\x");
    let sql = sql.replace(" AS BLOB)", " AS BYTEA)");
    let target = Target::new(settings, schema.to_owned());
    let done = std::thread::spawn(move || target.connect().unwrap().batch(&sql));
    done.join().unwrap().unwrap();
}

/// Puts in the row of the server that has a repository open, as if it beat; or takes it out, as
/// that of one that is gone. In a file nobody stands beside another.
pub(crate) fn stand(database: &Database, stands: bool) {
    let id = database.instance();
    let sql = match stands {
        true => format!(
            "INSERT INTO servers (instance, name, version, advertised, beat, started_ms)
             VALUES (x'{id}', 'test', '0', '', x'{id}', 0)"
        ),
        false => format!("DELETE FROM servers WHERE instance = x'{id}'"),
    };
    tamper(database.path(), &sql);
}
