//! The fleet against gateways in this process, over the real channel.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests, which are to fail where something is amiss"
)]

mod durable;
mod grants;
mod life;
mod peer_links;
mod peers;
mod push;
mod queue;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod tokens;

use std::time::Duration;

use portcullis_common::handshake::Mode;
use portcullis_common::id::GatewayId;
use portcullis_common::rotation::{GatewayRecord, Standing};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{
    FailureKind, Outcome, Secret, SetPassword, outcome, search_item,
};
use portcullis_server::fleet::{Attempt, Push, Recipient, Rotation, SyncState};
use portcullis_server::repository::{Reach, Replaced, RotateError};
use support::gateway::{
    ANSWERS, CUTS, FakeGateway, GIVES_BACK, GIVES_BACK_PLAIN, SAYS_NOTHING, WAITS,
};
use support::proxy::Proxy;
use support::{PATIENCE, Server, call};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_stream::StreamExt;

async fn enrolled(server: &Server, name: &str) -> FakeGateway {
    let (gateway, _) = enrolled_at(server, name).await;
    gateway
}

async fn enrolled_at(
    server: &Server,
    name: &str,
) -> (
    FakeGateway,
    (std::net::SocketAddr, tokio::task::JoinHandle<()>),
) {
    let (address, token) = server.add_at_free_port(name).await;
    let gateway = FakeGateway::with_token(&token);
    let listening = gateway.listen(address).await;
    server.fleet.wake(name);
    server.until_connected(name).await;
    (gateway, listening)
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome.result, Some(outcome::Result::Done(_)))
}

fn is_indeterminate(outcome: &Outcome) -> bool {
    matches!(outcome.result, Some(outcome::Result::Indeterminate(_)))
}

fn is_unavailable(outcome: &Outcome) -> bool {
    match &outcome.result {
        Some(outcome::Result::Failed(failure)) => failure.kind == FailureKind::Unavailable as i32,
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_enrols_by_token_and_carries_calls() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    let link = server.fleet.status("host1").unwrap();
    assert_eq!(link.session.mode, Mode::Secure);
    assert_eq!(
        gateway.record().active_key_id(),
        Some(server.current_key().await)
    );
    let row = server.repository.gateways().find("host1").await.unwrap();
    assert!(row.unwrap().registration.token.is_none());

    let outcome = server.fleet.execute("host1", call("c1", ANSWERS)).await;
    let outcome = outcome.unwrap();
    assert!(is_done(&outcome), "{outcome:?}");
    assert_eq!(outcome.call_id, "c1");
    server.fleet.ping("host1").await.unwrap();
    server
        .until("the description", || {
            let described = server.fleet.status("host1").unwrap().description;
            std::future::ready(described.is_some_and(|it| it.version == "fake"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_dials_out_pairs_in_default_mode_once() {
    let server = Server::start().await;
    server.add("host1", Reach::DialOut, true).await;
    let gateway = FakeGateway::pairing();
    let dialling = gateway.dial(server.dial_out, "host1");
    server.until_connected("host1").await;
    assert_eq!(
        server.fleet.status("host1").unwrap().session.mode,
        Mode::Default
    );
    assert!(is_done(
        &server
            .fleet
            .execute("host1", call("c1", ANSWERS))
            .await
            .unwrap()
    ));

    gateway.cut();
    server
        .until("secure mode", || {
            let link = server.fleet.status("host1");
            std::future::ready(link.is_some_and(|link| link.session.mode == Mode::Secure))
        })
        .await;
    dialling.abort();

    let stranger = FakeGateway::pairing();
    let dialling = stranger.dial(server.dial_out, "host1");
    gateway.cut();
    server
        .until("the stranger's refusal", || async {
            let row = server.repository.gateways().find("host1").await.unwrap();
            row.unwrap().last_error.is_some()
        })
        .await;
    assert!(stranger.record().gateway_id().is_none());
    dialling.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_reaches_every_link_and_disturbs_no_call() {
    let server = Server::start().await;
    let dialled = enrolled(&server, "dialled").await;
    let token = server.add("dialling", Reach::DialOut, false).await;
    let dialling = FakeGateway::with_token(&token);
    let _task = dialling.dial(server.dial_out, "dialling");
    server.until_connected("dialling").await;

    let fleet = server.fleet.clone();
    let in_flight =
        tokio::spawn(async move { fleet.execute("dialled", call("slow", WAITS)).await });
    dialled.begun().await;

    let before = server.current_key().await;
    let progress = server.rotate(Rotation::default()).await;
    let after = server.current_key().await;
    assert_ne!(before, after);
    assert_eq!(progress.current, after);
    assert_eq!(
        (progress.counts.synchronized, progress.counts.total),
        (2, 2)
    );
    for (gateway, name) in [(&dialled, "dialled"), (&dialling, "dialling")] {
        server.until_connected(name).await;
        assert_eq!(gateway.record().active_key_id(), Some(after));
        assert_eq!(gateway.record().pending_key_id(), None);
        let outcome = server.fleet.execute(name, call("c", ANSWERS)).await;
        assert!(is_done(&outcome.unwrap()));
    }

    dialled.release();
    let outcome = timeout(PATIENCE, in_flight).await.unwrap().unwrap();
    assert!(is_done(&outcome.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_away_catches_up() {
    let server = Server::start().await;
    let (gateway, (address, listening)) = enrolled_at(&server, "host1").await;
    listening.abort();
    gateway.cut();
    server
        .until("the loss", || {
            std::future::ready(server.fleet.status("host1").is_none())
        })
        .await;
    let first = gateway.record().active_key_id();
    for _ in 0..3 {
        let progress = server.rotate(Rotation::default()).await;
        assert_eq!(
            (progress.counts.synchronized, progress.counts.total),
            (0, 1)
        );
        assert_eq!(progress.results[0].state, SyncState::Away);
    }
    assert_eq!(gateway.record().active_key_id(), first);
    gateway.listen(address).await;
    server.until_connected("host1").await;
    let current = server.current_key().await;
    assert_eq!(gateway.record().active_key_id(), Some(current));
    let progress = server.synchronize(Push::default()).await;
    assert_eq!(progress.counts.synchronized, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_expecting_another_key_changes_nothing() {
    let server = Server::start().await;
    let current = server.current_key().await;
    let rotation = Rotation {
        expected_current: Some(current),
        ..Rotation::default()
    };
    server.fleet.rotate(rotation).await.unwrap();
    let second = server.current_key().await;
    let error = server.fleet.rotate(rotation).await.unwrap_err();
    let expected = RotateError::NotCurrent {
        expected: current,
        current: second,
    };
    assert_eq!(error.to_string(), expected.to_string());
    assert_eq!(server.current_key().await, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_key_is_refused_at_once() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    let before = gateway.record().active_key_id();
    let rotation = Rotation {
        replaced: Replaced::Compromised,
        ..Rotation::default()
    };
    let progress = server.rotate(rotation).await;
    assert_eq!(progress.results[0].state, SyncState::MustEnrol);
    assert_eq!(gateway.record().active_key_id(), before);
    let outcome = server.fleet.execute("host1", call("c", ANSWERS)).await;
    assert!(is_unavailable(&outcome.unwrap()));
    assert_eq!(gateway.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_gateway_loses_its_link_and_gets_no_other() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    let fleet = server.fleet.clone();
    let in_flight = tokio::spawn(async move { fleet.execute("host1", call("slow", WAITS)).await });
    gateway.begun().await;

    let gateways = server.repository.gateways();
    gateways
        .update("host1", |registration, _| registration.revoke())
        .await
        .unwrap();
    server.fleet.close("host1").await;
    let outcome = timeout(PATIENCE, in_flight).await.unwrap().unwrap();
    assert!(is_indeterminate(&outcome.unwrap()));

    server.fleet.wake("host1");
    let outcome = server.fleet.execute("host1", call("c2", ANSWERS)).await;
    assert!(is_unavailable(&outcome.unwrap()));
    let error = server.fleet.ping("host1").await.unwrap_err().to_string();
    assert!(error.contains("revoked"), "{error}");
    assert_eq!(gateway.calls(), 1);
    let row = server.repository.gateways().find("host1").await.unwrap();
    assert_eq!(row.unwrap().registration.standing, Standing::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoke_ends_also_the_calls_of_a_replaced_link() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    let fleet = server.fleet.clone();
    let in_flight = tokio::spawn(async move { fleet.execute("host1", call("slow", WAITS)).await });
    gateway.begun().await;
    server.rotate(Rotation::default()).await;
    server.until_connected("host1").await;
    assert!(!in_flight.is_finished());

    server.fleet.close("host1").await;
    let outcome = timeout(PATIENCE, in_flight).await.unwrap().unwrap();
    assert!(is_indeterminate(&outcome.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_refused_once_another_server_has_revoked_the_gateway() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    let gateways = server.repository.gateways();
    gateways
        .update("host1", |registration, _| registration.revoke())
        .await
        .unwrap();
    let outcome = server.fleet.execute("host1", call("c", ANSWERS)).await;
    assert!(is_unavailable(&outcome.unwrap()));
    assert_eq!(gateway.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_lost_in_mid_call_leaves_an_indeterminate_outcome_and_comes_back() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    let outcome = server.fleet.execute("host1", call("c1", CUTS)).await;
    let outcome = outcome.unwrap();
    assert!(is_indeterminate(&outcome), "{outcome:?}");
    assert_eq!(outcome.call_id, "c1");
    server.until_connected("host1").await;
    server
        .until("a call to go through", || async {
            let outcome = server.fleet.execute("host1", call("c2", ANSWERS)).await;
            is_done(&outcome.unwrap())
        })
        .await;
    assert!(gateway.calls() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_call_whose_end_says_nothing_nobody_knows_what_became() {
    let server = Server::start().await;
    let _gateway = enrolled(&server, "host1").await;
    let outcome = server
        .fleet
        .execute("host1", call("c1", SAYS_NOTHING))
        .await;
    let outcome = outcome.unwrap();
    assert!(is_indeterminate(&outcome), "{outcome:?}");
    assert_eq!(outcome.call_id, "c1");
    let outcome = server.fleet.execute("host1", call("c2", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()), "the link is lost");
}

/// The call leaves the time to the gateway, which never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_silent_is_waited_for_as_long_as_it_said_and_no_longer() {
    let server = Server::start().await;
    let (address, token) = server.add_at_free_port("host1").await;
    let gateway = FakeGateway::with_token(&token);
    gateway.takes_at_most(1);
    let _listening = gateway.listen(address).await;
    server.fleet.wake("host1");
    server.until_connected("host1").await;
    let described = || {
        let link = server.fleet.status("host1");
        std::future::ready(link.is_some_and(|link| link.description.is_some()))
    };
    server.until("the description", described).await;

    let silent = server.fleet.execute("host1", call("c1", WAITS));
    let outcome = timeout(PATIENCE, silent).await.unwrap().unwrap();
    assert!(is_indeterminate(&outcome), "{outcome:?}");
    let outcome = server.fleet.execute("host1", call("c2", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()), "the link is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_go_sealed_both_ways_and_a_plain_one_is_not_taken() {
    let server = Server::start().await;
    let _gateway = enrolled(&server, "host1").await;
    for (connector, taken) in [(GIVES_BACK, true), (GIVES_BACK_PLAIN, false)] {
        let mut call = call("c1", connector);
        call.verb = Some(Verb::SetPassword(SetPassword {
            object: None,
            password: Some(Secret::plain(b"correct horse".to_vec())),
        }));
        let mut outcome = server.fleet.execute("host1", call).await.unwrap();
        let given: Vec<_> = outcome
            .secrets_mut()
            .into_iter()
            .map(|secret| secret.clone())
            .collect();
        let expected = [Secret::plain(b"correct horse".to_vec())];
        assert_eq!(given, expected[..usize::from(taken)], "{connector}");
        let unknown = matches!(outcome.result, Some(outcome::Result::Indeterminate(_)));
        assert_eq!(unknown, !taken, "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_ends_with_one_end_whatever_happens() {
    let server = Server::start().await;
    let _gateway = enrolled(&server, "host1").await;
    for (connector, complete) in [(ANSWERS, true), (SAYS_NOTHING, false), (CUTS, false)] {
        let items = server.fleet.search("host1", call("s", connector)).await;
        let items: Vec<_> = items.unwrap().collect().await;
        let ends: Vec<_> = items
            .iter()
            .filter_map(|item| match &item.kind {
                Some(search_item::Kind::End(end)) => Some(end),
                _ => None,
            })
            .collect();
        assert_eq!(ends.len(), 1, "{connector}");
        assert_eq!(ends[0].failure.is_none(), complete, "{connector}");
        assert!(matches!(
            items.last().unwrap().kind,
            Some(search_item::Kind::End(_))
        ));
    }
    let items = server.fleet.search("nobody", call("s", ANSWERS)).await;
    assert_eq!(items.unwrap().collect::<Vec<_>>().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_another_registration_or_session_of_a_gateway_is_not_sent() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    let id = server.fleet.status("host1").unwrap().session.gateway_id;
    let mine = Recipient::registration("host1", id);
    let outcome = server
        .fleet
        .execute(mine.clone(), call("c1", ANSWERS))
        .await;
    assert!(is_done(&outcome.unwrap()));
    let calls = gateway.calls() + 1;
    let other = Recipient::registration("host1", GatewayId::random(&mut rand::rng()));
    let outcome = server
        .fleet
        .execute(other.clone(), call("c2", ANSWERS))
        .await;
    let outcome = outcome.unwrap();
    assert!(is_unavailable(&outcome), "{outcome:?}");
    assert!(format!("{outcome:?}").contains("another registration"));
    let unsent = server.fleet.attempt(&other, call("c3", ANSWERS)).await;
    assert!(matches!(unsent.unwrap(), Attempt::Unsent(_)));
    // Nor over another session than the one that is meant.
    let session = server.fleet.status("host1").unwrap().session.session_id;
    let now = mine.clone().through(session);
    let outcome = server.fleet.execute(now, call("c4", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()));
    let gone = mine.clone().through([0; 8]);
    let unsent = server.fleet.attempt(&gone, call("c5", ANSWERS)).await;
    assert!(matches!(unsent.unwrap(), Attempt::Unsent(_)));
    for (to, complete) in [(mine, true), (other, false)] {
        let items = server.fleet.search(to, call("s", ANSWERS)).await.unwrap();
        let items: Vec<_> = items.collect().await;
        let Some(search_item::Kind::End(end)) = &items.last().unwrap().kind else {
            panic!("no end: {items:?}");
        };
        assert_eq!(end.failure.is_none(), complete, "{end:?}");
    }
    // The search that was for this registration, and nothing else.
    assert!(gateway.calls() <= calls + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_two_hands_raises_an_alarm() {
    let server = Server::start().await;
    let token = server.add("host1", Reach::DialOut, false).await;
    // The first hand binds the token, and goes away before anything is installed.
    let gateways = server.repository.gateways();
    let (id, key) = (token.gateway_id(), token.key_id());
    gateways
        .update("host1", move |registration, _| {
            registration.bind(id, key, &[1; 32], portcullis_host::clock::now())
        })
        .await
        .unwrap()
        .unwrap();
    let second = FakeGateway::with_token(&token);
    let dialling = second.dial(server.dial_out, "host1");
    server
        .until("the alarm", || async {
            let row = server.repository.gateways().find("host1").await.unwrap();
            !row.unwrap().alarms.is_empty()
        })
        .await;
    dialling.abort();
    assert_eq!(second.record().pending_key_id(), None);
    assert_eq!(second.record().active_key_id(), None);
    let row = server.repository.gateways().find("host1").await.unwrap();
    let alarms = row.unwrap().alarms;
    assert!(alarms[0].text.contains("two hands"), "{alarms:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_with_one_key_raise_an_alarm() {
    let server = Server::start().await;
    let token = server.add("host1", Reach::DialOut, false).await;
    let first = FakeGateway::with_token(&token);
    let _first = first.dial(server.dial_out, "host1");
    server.until_connected("host1").await;
    let copy = FakeGateway::with_record(first.record());
    let _copy = copy.dial(server.dial_out, "host1");
    server
        .until("the alarm", || async {
            let row = server.repository.gateways().find("host1").await.unwrap();
            let alarms = row.unwrap().alarms;
            alarms.iter().any(|alarm| alarm.text.contains("two hosts"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_dials_at_once() {
    let server = Server::start_with(|config| {
        config.links.backoff_min = Duration::from_secs(3600);
        config.links.backoff_max = Duration::from_secs(3600);
    })
    .await;
    let (address, token) = server.add_at_free_port("host1").await;
    server
        .until("the first attempt to fail", || async {
            let row = server.repository.gateways().find("host1").await.unwrap();
            row.unwrap().last_error.is_some()
        })
        .await;
    let error = server.fleet.ping("host1").await.unwrap_err().to_string();
    assert!(error.contains("cannot connect"), "{error}");
    let gateway = FakeGateway::with_token(&token);
    gateway.listen(address).await;
    server.fleet.ping("host1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_gateway_that_knows_nothing_of_its_log_it_is_said_so_with_its_version() {
    let server = Server::start().await;
    let _gateway = enrolled(&server, "host1").await;
    let fleet = &server.fleet;
    let more = "debug".parse().unwrap();
    let wanted = Some((&more, Duration::from_secs(60)));
    for refused in [
        fleet.read_log("host1", 10).await,
        fleet.log_more("host1", wanted).await,
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("runs version fake, which"), "{error}");
    }
    let away = fleet.read_log("host2", 10).await.unwrap_err().to_string();
    assert!(away.contains("there is no gateway of that name"), "{away}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_full_age_is_replaced_without_losing_a_call() {
    let server = Server::start_with(|config| {
        config.channel.max_session_age = Duration::from_millis(300);
    })
    .await;
    let token = server.add("dialling", Reach::DialOut, false).await;
    let dialling = FakeGateway::with_token(&token);
    let _task = dialling.dial(server.dial_out, "dialling");
    let _dialled = enrolled(&server, "dialled").await;
    server.until_connected("dialling").await;
    for name in ["dialled", "dialling"] {
        let first = server.session_id(name).await;
        let replaced = || {
            let link = server.fleet.status(name);
            std::future::ready(link.is_some_and(|link| link.session.session_id != first))
        };
        while !replaced().await {
            let outcome = server.fleet.execute(name, call("c", ANSWERS)).await;
            let outcome = outcome.unwrap();
            assert!(is_done(&outcome), "{name}: {outcome:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_falls_silent_is_given_up_and_comes_back() {
    let server = Server::start_with(|config| {
        config.links.keep_alive_interval = Duration::from_millis(200);
        config.links.keep_alive_timeout = Duration::from_millis(200);
        config.channel.handshake_timeout = Duration::from_millis(500);
    })
    .await;
    let token = server.add("host1", Reach::DialOut, false).await;
    let gateway = FakeGateway::with_token(&token);
    let (address, _listening) = gateway.listen_anywhere().await;
    let proxy = Proxy::to(address).await;
    let reach = Reach::Address(proxy.address.to_string());
    let gateways = server.repository.gateways();
    gateways.set_reach("host1", reach).await.unwrap();
    server.fleet.wake("host1");
    server.until_connected("host1").await;

    let fleet = server.fleet.clone();
    let in_flight = tokio::spawn(async move { fleet.execute("host1", call("slow", WAITS)).await });
    gateway.begun().await;
    proxy.freeze();
    let outcome = timeout(PATIENCE, in_flight).await.unwrap().unwrap();
    assert!(is_indeterminate(&outcome.unwrap()));
    server
        .until("the loss", || {
            std::future::ready(server.fleet.status("host1").is_none())
        })
        .await;
    let outcome = server.fleet.execute("host1", call("c", ANSWERS)).await;
    assert!(is_unavailable(&outcome.unwrap()));
    proxy.thaw();
    server.until_connected("host1").await;
    let outcome = server.fleet.execute("host1", call("c", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_neither_cut_a_link_nor_keep_others_out_for_long() {
    let server = Server::start_with(|config| {
        config.channel.handshake_timeout = Duration::from_secs(1);
    })
    .await;
    let token = server.add("host1", Reach::DialOut, false).await;
    let gateway = FakeGateway::with_token(&token);
    let _task = gateway.dial(server.dial_out, "host1");
    server.until_connected("host1").await;
    let session = server.session_id("host1").await;

    // Says that it is host1, in the bytes of message 0, and then nothing.
    let id = token.gateway_id().to_bytes();
    let preamble = [&[0x10, 0, 17, 1][..], &id].concat();
    let mut stalled = Vec::new();
    for number in 0..400 {
        let mut io = TcpStream::connect(server.dial_out).await.unwrap();
        match number % 3 {
            0 => io.write_all(&preamble).await.unwrap(),
            1 => io.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap(),
            _ => {}
        }
        stalled.push(io);
    }
    let outcome = server.fleet.execute("host1", call("c", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()));
    assert_eq!(server.session_id("host1").await, session);
    let row = server.repository.gateways().find("host1").await.unwrap();
    assert_eq!(row.unwrap().last_error, None, "a living link has no error");

    let token = server.add("host2", Reach::DialOut, false).await;
    let second = FakeGateway::with_token(&token);
    let _second = second.dial(server.dial_out, "host2");
    server.until_connected("host2").await;
    assert_eq!(server.session_id("host1").await, session);
    for io in &mut stalled {
        // Everyone of them is told in the end, or just cut off.
        let closed = timeout(PATIENCE, io.read_to_end(&mut Vec::new())).await;
        let _ = closed.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_key_at_the_address_gets_nothing() {
    let server = Server::start().await;
    let stranger = FakeGateway::with_record(GatewayRecord::empty());
    let (address, _task) = stranger.listen_anywhere().await;
    server
        .add("host1", Reach::Address(address.to_string()), false)
        .await;
    server
        .until("the refusal", || async {
            let row = server.repository.gateways().find("host1").await.unwrap();
            row.unwrap()
                .last_error
                .is_some_and(|error| error.contains("gateway show"))
        })
        .await;
    assert!(server.fleet.status("host1").is_none());
}
