//! Real servers and gateways, each a process of its own, on loopback.
//!
//! The tests ask what an administrator would: the admin API, the programs' messages, the files they leave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's own helpers fail the test"
)]

mod bad_input;
mod calls;
mod enrolment;
mod roster;
mod rotation;
mod secrets;
mod strangers;

use std::path::PathBuf;

use portcullis_tests::harness::{Admin, Dial, Gateway, HarnessError, Scripts, Server, Site};

/// A server and one enrolled gateway, connected under the current key, with one resource: `journal`, behind the scripts.
struct Pair {
    // In this order: processes are killed before the folder they live in goes.
    gateway: Gateway,
    server: Server,
    admin: Admin,
    scripts: Scripts,
    site: Site,
}

impl Pair {
    async fn dialled_in(more: &str) -> Result<Self, HarnessError> {
        Self::new(false, more).await
    }

    async fn dialled_out(more: &str) -> Result<Self, HarnessError> {
        Self::new(true, more).await
    }

    async fn new(out: bool, more: &str) -> Result<Self, HarnessError> {
        let site = Site::new()?;
        let mut server = Server::new(&site, "")?;
        let admin = server.serve().await?;
        let dial = dial(&server, out)?;
        let scripts = Scripts::new(&site, "scripts")?;
        let config = format!("{}{more}", scripts.config());
        let mut gateway = Gateway::new(&site, "host1", dial, &config)?;
        let token = admin.add_gateway("host1", &dial.address(), false).await?;
        gateway.enroll(&token)?;
        gateway.start()?;
        admin.synchronized("host1").await?;
        admin
            .add_resource("journal", "host1", Scripts::CONNECTOR)
            .await?;
        Ok(Self {
            gateway,
            server,
            admin,
            scripts,
            site,
        })
    }

    /// The gateway's whole key store.
    fn key_store(&self) -> PathBuf {
        self.gateway.state.join("keys")
    }
}

fn dial(server: &Server, out: bool) -> Result<Dial, HarnessError> {
    if out {
        Ok(Dial::Out(server.dial_out_port))
    } else {
        Dial::inward()
    }
}
