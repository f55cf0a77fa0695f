//! Real servers whose repository is in a real PostgreSQL, with real gateways.
//!
//! Ignored unless `tests/run servers` asks for them, which it does where PostgreSQL is installed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

mod away;
mod commits;
mod failover;
mod hosts;
mod life;
mod moving;
mod relay;
mod several;
mod standby;
mod storm;
mod way_there;

use std::path::Path;

use portcullis_directories::Postgres;
use portcullis_tests::harness::{Admin, Dial, Gateway, Scripts, Server, Site};

/// The database, its owner and their password.
const DATABASE: &str = "portcullis";
const PASSWORD: &str = "repository-secret";

/// `[repository]` of a server, for this host and what is said of TLS.
fn repository(site: &Site, host: &str, more: &str) -> String {
    let password = site.file("database-password", 0o600, PASSWORD);
    format!(
        "[repository]\nengine = \"postgres\"\nhosts = [\"{host}\"]\npassword_file = {password:?}\n{more}"
    )
}

/// The same, over TLS.
fn over_tls(site: &Site, postgres: &Postgres) -> String {
    let host = format!("{}:{}", postgres.address(), postgres.port());
    repository(site, &host, &verified_by(postgres.authority()))
}

fn verified_by(authority: &Path) -> String {
    format!("ca_file = {authority:?}\n")
}

/// A server that runs on a database of its own.
struct Central {
    // In this order: processes are killed before the folders they live in go.
    server: Server,
    admin: Admin,
    site: Site,
    postgres: Postgres,
}

impl Central {
    async fn start() -> Self {
        Self::with("").await
    }

    /// With `more` in the server's configuration.
    async fn with(more: &str) -> Self {
        let postgres = Postgres::start().await;
        postgres.database(DATABASE, PASSWORD);
        let site = Site::new();
        let config = format!("{}{more}", over_tls(&site, &postgres));
        let mut server = Server::new(&site, &config);
        let admin = server.serve().await;
        Self {
            server,
            admin,
            site,
            postgres,
        }
    }

    /// A gateway that is enrolled and connected, with a resource of the same name behind scripts.
    async fn gateway(&self, name: &str, out: bool) -> (Gateway, Scripts) {
        let scripts = Scripts::new(&self.site, &format!("{name}-scripts"));
        let dial = match out {
            true => Dial::Out(self.server.dial_out_port),
            false => Dial::inward(),
        };
        let mut gateway = Gateway::new(&self.site, name, dial, &scripts.config());
        let token = self.admin.add_gateway(name, &dial.address(), false).await;
        gateway.enroll(&token);
        gateway.start();
        self.admin.synchronized(name).await;
        self.admin
            .add_resource(name, name, Scripts::CONNECTOR)
            .await;
        (gateway, scripts)
    }

    /// The audit log as it stands in the database is whole.
    #[track_caller]
    fn audit_is_sound(&self) {
        self.server.portcullis("audit verify").ok();
    }
}
