//! Real servers and gateways, each a process of its own, on loopback.
//!
//! The tests ask what an administrator would: the admin API, the programs' messages, the files they
//! leave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's own helpers fail the test"
)]

mod bad_input;
mod calls;
mod enrolment;
mod fan_out;
mod log_in;
mod logs;
mod mute;
mod python_client;
mod readme;
mod reconcile;
mod reload;
mod roster;
mod rotation;
mod secrets;
mod strangers;
mod sync;
mod traces;
mod watching;
mod waves;

use std::path::PathBuf;

use portcullis_proto::gateway::v1::Outcome;
use portcullis_tests::harness::{Admin, Dial, Finished, Gateway, Scripts, Server, Site};
use tempfile::TempDir;

/// A server and one enrolled gateway, connected under the current key, with one resource:
/// `journal`, behind the scripts.
struct Pair {
    // In this order: processes are killed before the folder they live in goes.
    gateway: Gateway,
    server: Server,
    admin: Admin,
    scripts: Scripts,
    site: Site,
}

impl Pair {
    async fn dialled_in(more: &str) -> Self {
        Self::new(false, more).await
    }

    async fn dialled_out(more: &str) -> Self {
        Self::new(true, more).await
    }

    async fn new(out: bool, more: &str) -> Self {
        let (site, server, admin) = serving("").await;
        let scripts = Scripts::new(&site, "scripts");
        let config = format!("{}{more}", scripts.config());
        let dial = dial(&server, out);
        let (mut gateway, token) = registered(&site, &admin, dial, &config).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized("host1").await;
        let connector = Scripts::CONNECTOR;
        admin.add_resource("journal", "host1", connector).await;
        Self {
            gateway,
            server,
            admin,
            scripts,
            site,
        }
    }

    #[track_caller]
    fn portcullis(&self, line: &str) -> Finished {
        self.server.portcullis(line)
    }

    /// Runs `portcullis`, which has to succeed: what it printed.
    #[track_caller]
    fn ok(&self, line: &str) -> String {
        self.portcullis(line).ok().stdout
    }

    /// Carries out the script that leaves this id in the journal.
    async fn record(&self, id: &str) -> Outcome {
        let call = Scripts::call("record", id);
        self.admin.call("journal", call).await
    }

    /// The gateway's whole key store.
    fn key_store(&self) -> PathBuf {
        self.gateway.state.join("keys")
    }
}

/// A server that runs, with `more` in its configuration.
async fn serving(more: &str) -> (Site, Server, Admin) {
    let site = Site::new();
    let mut server = Server::new(&site, more);
    let admin = server.serve().await;
    (site, server, admin)
}

fn dial(server: &Server, out: bool) -> Dial {
    match out {
        true => Dial::Out(server.dial_out_port),
        false => Dial::inward(),
    }
}

/// The gateway `host1`, known to the server, and its token.
async fn registered(site: &Site, admin: &Admin, dial: Dial, config: &str) -> (Gateway, String) {
    let gateway = Gateway::new(site, "host1", dial, config);
    let token = admin.add_gateway("host1", &dial.address(), false).await;
    (gateway, token)
}

/// A root folder for accounts, and the configuration of a connector that keeps them there, `local`.
fn scratch_root() -> (TempDir, String) {
    let scratch = tempfile::tempdir().unwrap();
    portcullis_gateway::connectors::unix::create_scratch_root(scratch.path()).unwrap();
    let prefix = scratch.path();
    let config = format!("[connectors.local]\ntype = \"unix\"\nprefix = {prefix:?}\n");
    (scratch, config)
}
