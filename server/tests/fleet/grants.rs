//! Who has a gateway's link, and until when its calls may be begun.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use portcullis_proto::gateway::v1::GrantResponse;
use portcullis_server::fleet::{Renewals, Sibling, Siblings};
use portcullis_server::repository::{AlarmKind, InstanceId, Reach};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::support::gateway::{ANSWERS, FakeGateway};
use super::support::{Server, call};
use super::{enrolled, is_done, is_unavailable};

/// A server's beats, acknowledged as the test says.
#[derive(Debug)]
struct Beats {
    last: Mutex<Option<Instant>>,
    asked: AtomicU32,
    acknowledges: watch::Sender<bool>,
}

impl Beats {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            last: Mutex::default(),
            asked: AtomicU32::new(0),
            acknowledges: watch::Sender::new(true),
        })
    }
}

/// What a server is given of them.
#[derive(Debug)]
struct Given(Arc<Beats>);

impl Renewals for Given {
    fn last(&self) -> Option<Instant> {
        *self.0.last.lock().unwrap()
    }

    fn renew(&self) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let beats = Arc::clone(&self.0);
        beats.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let sent = Instant::now();
            let mut acknowledges = beats.acknowledges.subscribe();
            acknowledges.wait_for(|it| *it).await.unwrap();
            *beats.last.lock().unwrap() = Some(sent);
            true
        })
    }
}

/// A gateway that dials, and so has one link: one that is dialled may get a second one at once.
async fn dialling(server: &Server) -> FakeGateway {
    let token = server.add("host1", Reach::DialOut, false).await;
    let gateway = FakeGateway::with_token(&token);
    gateway.dial(server.dial_out, "host1");
    server.until_connected("host1").await;
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_granted_before_its_link_lives_and_the_same_to_each_session() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    assert!(!server.fleet.status("host1").unwrap().for_one_server);
    let first = gateway.grants().remove(0);
    assert_eq!((first.generation, first.epoch), (0, 1));
    assert_eq!(first.instance.len(), 16);
    let before = server.session_id("host1").await;
    gateway.cut();
    server
        .until("its next session", || {
            let link = server.fleet.status("host1");
            std::future::ready(link.is_some_and(|it| it.session.session_id != before))
        })
        .await;
    assert!(gateway.grants().iter().all(|grant| *grant == first));
    // Nobody shares the repository: no call says until when it may be begun, nor is one pinged for.
    let outcome = server.fleet.execute("host1", call("c1", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()));
    assert_eq!((gateway.moments(), gateway.pings()), (vec![None], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_has_seen_a_higher_grant_gets_no_link_and_the_reason_is_told() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    let own = gateway.grants().remove(0);
    let error = async |part: &str| {
        server
            .until(part, || async {
                let row = server.repository.gateways().find("host1").await.unwrap();
                let error = row.unwrap().last_error;
                error.is_some_and(|error| error.contains(part))
            })
            .await;
    };
    let seen = |epoch, instance| {
        Some(GrantResponse {
            generation: own.generation,
            epoch,
            instance,
        })
    };
    gateway.has_seen(seen(9, vec![7; 16]));
    gateway.cut();
    error("accept-loss").await;
    assert!(server.fleet.status("host1").is_none());
    let outcome = server.fleet.execute("host1", call("c1", ANSWERS)).await;
    assert!(is_unavailable(&outcome.unwrap()));
    assert_eq!(gateway.calls(), 0);

    let kinds = async || -> Vec<_> {
        let gateways = server.repository.gateways();
        let alarms = gateways.alarms(Some("host1"), false).await.unwrap();
        alarms.into_iter().map(|alarm| alarm.kind).collect()
    };
    assert_eq!(kinds().await, [AlarmKind::WentBack]);

    gateway.has_seen(seen(own.epoch, vec![7; 16]));
    error("another server gave the gateway the same grant").await;
    assert!(kinds().await.contains(&AlarmKind::TwoServers));

    gateway.has_seen(seen(own.epoch - 1, vec![7; 16]));
    error("its answer is a lower one").await;

    gateway.has_seen(None);
    server.until_connected("host1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_of_an_earlier_version_gets_its_calls_and_is_named() {
    let server = Server::start().await;
    let gateway = enrolled(&server, "host1").await;
    gateway.grants_not();
    let before = server.session_id("host1").await;
    gateway.cut();
    server
        .until("its next session", || {
            let link = server.fleet.status("host1");
            let next = link.filter(|it| it.session.session_id != before);
            std::future::ready(next.is_some_and(|link| link.for_one_server))
        })
        .await;
    let outcome = server.fleet.execute("host1", call("c1", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()));
}

/// Other servers, which stand as the test says.
#[derive(Debug, Default)]
struct Others(Mutex<Vec<Sibling>>);

impl Siblings for Others {
    fn all(&self) -> Vec<Sibling> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_of_an_earlier_version_gets_calls_while_a_single_server_stands() {
    let others = Arc::<Others>::default();
    let server = Server::start_among(Arc::clone(&others) as _).await;
    let token = server.add("host1", Reach::DialOut, false).await;
    let gateway = FakeGateway::with_token(&token);
    gateway.grants_not();
    gateway.dial(server.dial_out, "host1");
    server.until_connected("host1").await;
    let places = server.repository.gateways().link_places().await.unwrap();
    assert!(places[0].link.unwrap().for_one_server);
    let outcome = server.fleet.execute("host1", call("c1", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()));
    let other = Sibling {
        instance: InstanceId::random(),
        leaves: false,
    };
    others.0.lock().unwrap().push(other);
    let outcome = server.fleet.execute("host1", call("c2", ANSWERS)).await;
    let outcome = outcome.unwrap();
    assert!(is_unavailable(&outcome), "{outcome:?}");
    assert!(format!("{outcome:?}").contains("too old for several servers"));
    // It is watched all the same.
    server.fleet.ping("host1").await.unwrap();
    others.0.lock().unwrap().clear();
    let outcome = server.fleet.execute("host1", call("c3", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()));
    assert_eq!(gateway.calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_say_until_when_they_may_be_begun_by_a_reading_before_the_last_renewal() {
    let beats = Beats::new();
    let server = Server::start_sharing(Arc::new(Given(Arc::clone(&beats)))).await;
    let gateway = dialling(&server).await;
    gateway.shows(50_000);
    // An idle link is not asked.
    assert_eq!(
        (gateway.pings(), beats.asked.load(Ordering::Relaxed)),
        (0, 0)
    );
    beats.acknowledges.send_replace(false);
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let fleet = server.fleet.clone();
        let call = call(&format!("c{number}"), ANSWERS);
        calls.spawn(async move { fleet.execute("host1", call).await });
    }
    server
        .until("a renewal to be asked for", || {
            std::future::ready(beats.asked.load(Ordering::Relaxed) == 1)
        })
        .await;
    // It may be that this server is declared gone: nothing leaves.
    assert_eq!(gateway.calls(), 0);
    gateway.shows(60_000);
    beats.acknowledges.send_replace(true);
    while let Some(outcome) = calls.join_next().await {
        assert!(is_done(&outcome.unwrap().unwrap()));
    }
    assert_eq!(gateway.moments(), vec![Some(57_000); 20]);
    assert_eq!(
        (gateway.pings(), beats.asked.load(Ordering::Relaxed)),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_came_too_late_was_not_begun_and_its_caller_learns_no_more() {
    let server = Server::start().await;
    let gateway = dialling(&server).await;
    gateway.finds_late(1);
    let outcome = server.fleet.execute("host1", call("c1", ANSWERS)).await;
    assert!(is_unavailable(&outcome.unwrap()));
    assert_eq!(gateway.calls(), 0);
    let outcome = server.fleet.execute("host1", call("c2", ANSWERS)).await;
    assert!(is_done(&outcome.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_tells_no_clock_gets_calls_without_a_moment() {
    let beats = Beats::new();
    let server = Server::start_sharing(Arc::new(Given(beats))).await;
    let gateway = dialling(&server).await;
    for id in ["c1", "c2"] {
        let outcome = server.fleet.execute("host1", call(id, ANSWERS)).await;
        assert!(is_done(&outcome.unwrap()));
    }
    assert_eq!((gateway.moments(), gateway.pings()), (vec![None; 2], 1));
}
