//! What stores the server's repository while a fleet is measured.

use clap::ValueEnum;
use portcullis_directories::Postgres;
use serde::Serialize;

const NAME: &str = "portcullis";
const PASSWORD: &str = "repository-secret";

/// The engine of the repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// A file.
    #[default]
    Sqlite,
    /// A PostgreSQL that is started for it, over TLS on this host.
    Postgres,
}

/// A PostgreSQL with an empty database, and the server's `[repository]` for it.
pub(super) struct Database {
    pub(super) postgres: Postgres,
    pub(super) config: String,
}

impl Database {
    /// `None`: the engine needs none.
    pub(super) async fn start(engine: Engine) -> Option<Self> {
        if engine == Engine::Sqlite {
            return None;
        }
        let postgres = Postgres::start().await;
        postgres.database(NAME, PASSWORD);
        let password = postgres.site().file("database-password", 0o600, PASSWORD);
        let config = format!(
            "[repository]\nengine = \"postgres\"\nhosts = [\"{}:{}\"]\npassword_file = {password:?}\nca_file = {:?}\n",
            postgres.address(),
            postgres.port(),
            postgres.authority()
        );
        Some(Self { postgres, config })
    }
}
