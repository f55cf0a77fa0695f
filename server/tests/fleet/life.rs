//! Gateways that are renamed and removed while they are connected.

use portcullis_server::repository::Reach;
use tokio::time::timeout;

use super::support::gateway::{ANSWERS, FakeGateway, WAITS};
use super::support::{PATIENCE, Server, call};
use super::{enrolled, is_done};

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_gateway_is_reached_under_its_new_name_alone() {
    let server = Server::start().await;
    let dialled = enrolled(&server, "host1").await;
    server.add("host2", Reach::DialOut, true).await;
    let dials = FakeGateway::pairing();
    let dialling = dials.dial(server.dial_out, "host2");
    server.until_connected("host2").await;
    for (old, new) in [("host1", "www1"), ("host2", "www2")] {
        let gateways = server.repository.gateways();
        gateways.rename(old, new).await.unwrap();
        server.fleet.rename(old, new);
        server.until_connected(new).await;
        assert!(server.fleet.status(old).is_none());
        let outcome = server.fleet.execute(new, call("c1", ANSWERS)).await;
        assert!(is_done(&outcome.unwrap()), "{new}");
    }
    dialling.abort();
    drop(dialled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_gateways_link_ends_and_it_is_not_dialled_again() {
    let server = Server::start().await;
    let _gateway = enrolled(&server, "host1").await;
    let fleet = server.fleet.clone();
    let under_way = tokio::spawn(async move { fleet.execute("host1", call("c1", WAITS)).await });
    server.fleet.ping("host1").await.unwrap();
    let session = server.session_id("host1").await;
    let gateways = server.repository.gateways();
    gateways.remove("host1", false).await.unwrap().unwrap();
    server.fleet.forget("host1");
    let outcome = timeout(PATIENCE, under_way).await.unwrap().unwrap();
    // It was on its way, or had not left.
    assert!(!is_done(&outcome.unwrap()), "{session:?}");
    assert!(server.fleet.status("host1").is_none());
    assert!(
        server
            .fleet
            .execute("host1", call("c2", ANSWERS))
            .await
            .is_ok()
    );
    assert!(server.fleet.status("host1").is_none());
}
