//! What became of a change whose COMMIT was lost, or the answer to it.

use portcullis_directories::Postgres;
use portcullis_tests::harness::{Server, Site};

use crate::relay::Relay;
use crate::{DATABASE, PASSWORD, repository};

/// Changes that are made; each takes two commits, and of all commits a third is lost.
const CHANGES: usize = 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_change_is_made_once_wherever_its_commit_is_lost() {
    let postgres = Postgres::start().await;
    postgres.database(DATABASE, PASSWORD);
    let site = Site::new();
    let folder = site.folder("socket");
    let config = |folder: &std::path::Path| {
        let host = format!("{}:{}", folder.display(), postgres.port());
        repository(&site, &host, "")
    };
    let data = site.folder("data");
    let direct = Server::configured(&site, "direct", &data, &config(postgres.socket_folder()));
    direct.cli("init").ok();
    let mut server = Server::configured(&site, "server", &data, &config(&folder));
    let relay = Relay::start(&folder, &postgres);
    let admin = server.serve().await;
    relay.lose();
    let names: Vec<_> = (0..CHANGES)
        .map(|number| format!("host{number:02}"))
        .collect();
    for name in &names {
        admin.add_gateway(name, "127.0.0.1:9", false).await;
    }
    assert!(relay.lost() >= CHANGES / 2, "{} lost", relay.lost());
    assert!(relay.looks_lost() > 0, "every look was answered");
    let said = server.log();
    assert!(
        said.contains("did not say whether a change was committed"),
        "{said}"
    );
    server.kill();

    // What is told of them without the relay.
    let mut server = direct;
    let admin = server.serve().await;
    for name in &names {
        assert_eq!(&admin.gateway(name).await.name, name);
        let listed = server
            .portcullis(&format!("audit list --action Gateways/Add --object {name}"))
            .ok();
        let entries = listed.stdout.matches("Gateways/Add").count();
        // One that it was begun, and one that it is done.
        assert!(entries <= 2 && entries > 0, "{listed}");
    }
    server.portcullis("audit verify").ok();
}
