//! Where the repository of a world is: in a file among the server's own, or in a database of its
//! own in a real PostgreSQL, which outlives every crash of the server.

use std::path::Path;
use std::sync::Arc;

use portcullis_directories::Postgres;
use portcullis_server::config::{self, DatabaseHost};

const USER: &str = "portcullis";
/// Where a world's folder has all that is in its database, to be searched.
const DUMP: &str = "database";

/// What stores the repositories of all worlds.
#[derive(Clone, Debug, Default)]
pub enum Engine {
    /// A file each.
    #[default]
    Sqlite,
    /// A database each.
    Postgres(Arc<Cluster>),
}

/// A PostgreSQL, started for these runs.
#[derive(Debug)]
pub struct Cluster {
    postgres: Postgres,
}

impl Engine {
    /// Starts a PostgreSQL.
    pub async fn postgres() -> Self {
        let postgres = Postgres::start().await;
        // The database itself does not crash here, only its clients.
        postgres.query(&format!(
            "alter system set fsync = off;
             create role {USER} login;"
        ));
        // A password would be derived from at each of the many connections of each start.
        postgres.trust(USER);
        Self::Postgres(Arc::new(Cluster { postgres }))
    }

    /// Makes room for the repository of a world.
    pub(super) fn home(&self, seed: u64) -> Option<Home> {
        match self {
            Self::Sqlite => None,
            Self::Postgres(cluster) => Some(Home::new(Arc::clone(cluster), seed)),
        }
    }
}

/// The database of one world; dropped with it.
pub(super) struct Home {
    cluster: Arc<Cluster>,
    name: String,
}

impl Home {
    fn new(cluster: Arc<Cluster>, seed: u64) -> Self {
        let name = format!("world{seed}");
        cluster.postgres.query(&format!(
            "drop database if exists {name} with (force);
             create database {name} owner {USER} encoding 'UTF8' template template0;"
        ));
        Self { cluster, name }
    }

    /// `[repository]` of the server.
    pub(super) fn engine(&self) -> config::Engine {
        let postgres = &self.cluster.postgres;
        config::Engine::Postgres(config::Postgres {
            hosts: vec![DatabaseHost::Socket {
                folder: postgres.socket_folder().to_owned(),
                port: postgres.port(),
            }],
            database: self.name.clone(),
            user: USER.to_owned(),
            password: None,
            ca_file: None,
        })
    }

    /// The server that died is gone, as its host knows: nobody waits until its beat has stood.
    pub(super) fn end_servers(&self) {
        self.query("delete from portcullis.servers");
    }

    /// Writes all that is stored into a file of `folder`, for whoever searches that.
    pub(super) fn dump(&self, folder: &Path) -> Result<(), String> {
        let tables = self.query(
            "select 'select row_to_json(t) from portcullis.' || quote_ident(tablename) || ' t;'
             from pg_tables where schemaname = 'portcullis'",
        );
        let dump = folder.join(DUMP);
        let written = std::fs::write(&dump, self.query(&tables));
        written.map_err(|error| format!("cannot write {}: {error}", dump.display()))
    }

    fn query(&self, sql: &str) -> String {
        let sql = format!("\\connect {}\n{sql}", self.name);
        self.cluster.postgres.query(&sql)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let drop = format!("drop database if exists {} with (force)", self.name);
        self.cluster.postgres.try_query(&drop);
    }
}
