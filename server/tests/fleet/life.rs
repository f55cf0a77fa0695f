//! Gateways that are renamed, removed and connected anew while they are connected.

use std::time::Duration;

use portcullis_proto::gateway::v1::Outcome;
use portcullis_server::config::Config;
use portcullis_server::fleet::{CallError, Push, Rotation};
use portcullis_server::repository::Reach;
use tokio::task::JoinHandle;
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
async fn another_address_is_dialled_at_once_and_the_old_link_lives_until_then() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    let link = || server.fleet.status("host1").unwrap();
    let before = link().remote_address;
    let gateways = server.repository.gateways();
    let to = async |address: String| {
        let reach = Reach::Address(address);
        gateways.set_reach("host1", reach).await.unwrap();
        server.fleet.wake("host1");
    };
    // Nobody is there: that is told, and calls go on.
    let wrong = "127.1.2.3:9".to_owned();
    to(wrong.clone()).await;
    server
        .until("the error", || async {
            let row = gateways.find("host1").await.unwrap().unwrap();
            row.last_error.is_some_and(|error| error.contains(&wrong))
        })
        .await;
    assert_eq!(link().remote_address, before);
    let outcome = server.fleet.execute("host1", call("c1", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()));

    let (right, listening) = gateway.listen_anywhere().await;
    to(right.to_string()).await;
    server
        .until("the other address", || {
            std::future::ready(link().remote_address == right.to_string())
        })
        .await;
    assert_eq!(server.fleet.outlook("host1").next_attempt, None);
    listening.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_with_a_newer_key_than_the_server_knows_is_ahead() {
    let server = Server::start().await;
    let (address, token) = server.add_at_free_port("host1").await;
    let gateway = FakeGateway::with_token(&token);
    let listening = gateway.listen(address).await;
    server.fleet.wake("host1");
    server.until_connected("host1").await;
    let older = gateway.record();
    assert!(!server.fleet.outlook("host1").ahead);

    // The repository as it was before the rotation, put back: it never sent the newer key.
    let first = server.current_key().await;
    server.rotate(Rotation::default()).await;
    server.until_connected("host1").await;
    listening.1.abort();
    gateway.cut();
    let gateways = server.repository.gateways();
    gateways
        .update("host1", move |registration, _| {
            registration.last_proved = Some(first);
            registration.sent.clear();
        })
        .await
        .unwrap();
    let (address, listening) = gateway.listen_anywhere().await;
    let reach = Reach::Address(address.to_string());
    gateways.set_reach("host1", reach).await.unwrap();
    server.fleet.wake("host1");
    server
        .until("that it is ahead", || {
            std::future::ready(server.fleet.outlook("host1").ahead)
        })
        .await;
    let report = server.synchronize(Push::default()).await;
    assert_eq!(report.counts.ahead, 1, "{report:?}");
    assert_eq!(report.counts.synchronized, 0);

    // With a key that the server knows it is not.
    listening.abort();
    let put_back = FakeGateway::with_record(older);
    let (address, _listening) = put_back.listen_anywhere().await;
    let reach = Reach::Address(address.to_string());
    gateways.set_reach("host1", reach).await.unwrap();
    server.fleet.wake("host1");
    server.until_connected("host1").await;
    assert!(!server.fleet.outlook("host1").ahead);
}

/// A gateway that dials, or is dialled, with a call under way that does not end by itself.
async fn aged_in_a_call(server: &Server, out: bool, redials: bool) -> (FakeGateway, InFlight) {
    let gateway = if out {
        let token = server.add("host1", Reach::DialOut, false).await;
        let gateway = FakeGateway::with_token(&token);
        if !redials {
            gateway.redials_not();
        }
        drop(gateway.dial(server.dial_out, "host1"));
        server.until_connected("host1").await;
        gateway
    } else {
        enrolled(server, "host1").await
    };
    let fleet = server.fleet.clone();
    let slow = tokio::spawn(async move { fleet.execute("host1", call("slow", WAITS)).await });
    gateway.begun().await;
    (gateway, slow)
}

type InFlight = JoinHandle<Result<Outcome, CallError>>;

fn short_lived(config: &mut Config) {
    config.channel.max_session_age = Duration::from_millis(300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_full_age_has_a_successor_while_a_call_is_under_way() {
    for out in [false, true] {
        let server = Server::start_with(short_lived).await;
        let (gateway, slow) = aged_in_a_call(&server, out, true).await;
        let first = server.session_id("host1").await;
        server
            .until("the successor", || {
                let link = server.fleet.status("host1");
                std::future::ready(link.is_some_and(|link| link.session.session_id != first))
            })
            .await;
        let quick = server.fleet.execute("host1", call("quick", ANSWERS)).await;
        assert!(is_done(&quick.unwrap()), "dialled out: {out}");
        assert!(!slow.is_finished());
        gateway.release();
        let slow = timeout(PATIENCE, slow).await.unwrap().unwrap();
        assert!(is_done(&slow.unwrap()), "dialled out: {out}");
        assert_eq!(gateway.calls(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_dial_when_it_is_asked_does_when_its_session_ends() {
    let server = Server::start_with(short_lived).await;
    let (gateway, slow) = aged_in_a_call(&server, true, false).await;
    server
        .until("the end of the link", || {
            std::future::ready(server.fleet.status("host1").is_none())
        })
        .await;
    let fleet = server.fleet.clone();
    let next = tokio::spawn(async move { fleet.execute("host1", call("next", ANSWERS)).await });
    gateway.release();
    for call in [slow, next] {
        let outcome = timeout(PATIENCE, call).await.unwrap().unwrap();
        assert!(is_done(&outcome.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_is_dialled_again_and_it_is_known_when() {
    let server = Server::start_with(|config| {
        config.links.backoff_min = Duration::from_secs(3600);
        config.links.backoff_max = Duration::from_secs(3600);
    })
    .await;
    server.add_at_free_port("host1").await;
    server
        .until("the next attempt", || {
            std::future::ready(server.fleet.outlook("host1").next_attempt.is_some())
        })
        .await;
    let next = server.fleet.outlook("host1").next_attempt.unwrap();
    let now = portcullis_host::clock::now();
    assert!(next > now && next < now.plus(3_600_000), "{next:?}");
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
