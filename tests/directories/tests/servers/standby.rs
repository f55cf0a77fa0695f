//! A second server stands by, and comes in the place of the first one.

use std::time::{Duration, Instant};

use portcullis_proto::admin::v1::ListGatewaysRequest;
use portcullis_tests::harness::{Scripts, Server, Site, eventually};
use rustix::process::Signal;

use crate::{Central, over_tls};

impl Central {
    /// Another server of the site, on a host of its own, with the same secret and head file.
    pub(crate) fn another(&self, name: &str) -> Server {
        self.another_with(name, "")
    }

    /// The same, with `more` in its configuration.
    pub(crate) fn another_with(&self, name: &str, more: &str) -> Server {
        let data = self.site.folder(name);
        let config = format!("{}{more}", over_tls(&self.site, &self.postgres));
        let server = Server::configured(&self.site, name, &data, &config);
        joins(&self.site, (&self.server, "server"), (&server, name));
        server
    }
}

/// Gives a server, set up under this name, the secret and the head file of the first one of the
/// site.
pub(crate) fn joins(site: &Site, (first, named): (&Server, &str), (other, name): (&Server, &str)) {
    for entry in std::fs::read_dir(&first.data).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap();
        if file != "lock" {
            std::fs::copy(&path, other.data.join(file)).unwrap();
        }
    }
    let head = site.path().join(format!("{named}-audit")).join("head");
    let folder = site.folder(&format!("{name}-audit"));
    std::fs::copy(head, folder.join("head")).unwrap();
}

/// Waits until this server stands by.
async fn stands_by(server: &mut Server) {
    server.start();
    eventually("a server to stand by", async || {
        server
            .log()
            .contains("standing by: the server")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_server_that_stands_by_comes_when_the_first_is_stopped_or_stands_still() {
    let mut central = Central::start().await;
    let (_gateway, scripts) = central.gateway("host1", false).await;
    let mut second = central.another("second");
    let refused = second.cli("serve --no-wait").refused();
    refused
        .saying("uses the repository")
        .saying("only one may do so at a time");
    stands_by(&mut second).await;
    assert!(!second.socket.exists());
    central
        .admin
        .call("host1", Scripts::call("record", "first"))
        .await;

    // Stopped in good order: the other one comes at once.
    let stopping = Instant::now();
    central.server.process.as_mut().unwrap().stop();
    let admin = portcullis_tests::harness::Admin::new(&second.socket);
    eventually("the second server", async || {
        admin
            .gateways()
            .list(ListGatewaysRequest::default())
            .await
            .ok()
    })
    .await;
    assert!(stopping.elapsed() < Duration::from_secs(10));
    admin.synchronized("host1").await;
    admin.call("host1", Scripts::call("record", "second")).await;

    // Standing still, as a machine that is suspended: it is ended, and finds that out.
    stands_by(&mut central.server).await;
    let process = second.process.as_mut().unwrap();
    process.signal(Signal::STOP);
    let admin = &central.admin;
    eventually("the first server", async || {
        admin
            .gateways()
            .list(ListGatewaysRequest::default())
            .await
            .ok()
    })
    .await;
    process.signal(Signal::CONT);
    assert!(!process.wait().success());
    let said = second.log();
    assert!(said.contains("another one has ended it"), "{said}");
    admin.synchronized("host1").await;
    admin.call("host1", Scripts::call("record", "third")).await;
    for id in ["first", "second", "third"] {
        assert_eq!(scripts.executed().get(id), Some(&1), "{id}");
    }
    central.audit_is_sound();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_server_without_its_database_sends_no_call_and_closes_its_links() {
    let central = Central::start().await;
    let (_gateway, scripts) = central.gateway("host1", false).await;
    central.postgres.suspend();
    eventually("its links to be closed", async || {
        central
            .server
            .log()
            .contains("closing all links")
            .then_some(())
    })
    .await;
    central.postgres.resume();
    central.admin.synchronized("host1").await;
    eventually("calls to go on", async || {
        let call = Scripts::call("record", "again");
        central.admin.try_call("host1", call).await.ok()
    })
    .await;
    assert_eq!(scripts.executed().get("again"), Some(&1));
    central.audit_is_sound();
}
