//! Pushes of the gateway key: whom they reach, how they end, and how a key is rolled back.

use std::collections::BTreeSet;

use portcullis_common::id::KeyId;
use portcullis_server::fleet::{
    Event, Pace, Progress, Push, PushEnd, Rotation, SyncCounts, SyncState,
};
use portcullis_server::repository::{GatewayChange, Reach, Replaced};
use tokio_stream::StreamExt;

use crate::support::gateway::FakeGateway;
use crate::support::{PATIENCE, Server, last};

/// One that dials out: it comes back by itself.
async fn enrolled(server: &Server, name: &str) -> FakeGateway {
    let token = server.add(name, Reach::DialOut, false).await;
    let gateway = FakeGateway::with_token(&token);
    gateway.dial(server.dial_out, name);
    server.until_connected(name).await;
    gateway
}

async fn put_into(server: &Server, name: &str, group: &str) {
    let change = GatewayChange {
        add_groups: vec![group.to_owned()],
        ..GatewayChange::default()
    };
    let gateways = server.repository.gateways();
    gateways.change(name, change).await.unwrap();
}

fn group(name: &str) -> Push {
    Push {
        groups: BTreeSet::from([name.to_owned()]),
        ..Push::default()
    }
}

async fn rotate(server: &Server, replaced: Replaced) -> (KeyId, KeyId) {
    let rotation = Rotation {
        replaced,
        ..Rotation::default()
    };
    let (new, former) = server.fleet.rotate(rotation).await.unwrap();
    (new, former.unwrap())
}

fn states(progress: &Progress) -> Vec<(&str, SyncState)> {
    let results = progress.results.iter();
    results
        .map(|result| (result.gateway.as_str(), result.state))
        .collect()
}

async fn proved(server: &Server, name: &str) -> Option<KeyId> {
    let row = server.repository.gateways().find(name).await.unwrap();
    row.unwrap().registration.last_proved
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_a_group_leaves_the_others_until_they_reconnect() {
    let server = Server::start().await;
    let (_one, two) = (
        enrolled(&server, "one").await,
        enrolled(&server, "two").await,
    );
    put_into(&server, "one", "canary").await;
    let (new, former) = rotate(&server, Replaced::Retired).await;
    let mut events = server.fleet.events();
    let progress = server.synchronize(group("canary")).await;
    // That the gateways have enrolled may be told as late as this.
    let pushed = async {
        loop {
            match events.recv().await {
                Some(Event::Enrolled { .. }) => {}
                told => return told,
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, pushed).await.unwrap();
    let text = "1 of 2 enrolled gateways have proved it; not yet: two (not in scope)".to_owned();
    assert_eq!(told, Some(Event::Pushed { key: new, text }));
    let expected = [
        ("one", SyncState::Synchronized),
        ("two", SyncState::NotInScope),
    ];
    assert_eq!(states(&progress), expected);
    assert_eq!(
        progress.counts,
        SyncCounts {
            total: 2,
            synchronized: 1,
            not_in_scope: 1,
            ..SyncCounts::default()
        }
    );
    assert_eq!(progress.end, PushEnd::Complete);
    assert_eq!(proved(&server, "two").await, Some(former));

    two.cut();
    server.until_connected("two").await;
    assert_eq!(proved(&server, "two").await, Some(new));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_moves_forward_those_that_may_hold_the_key_and_no_others() {
    let server = Server::start().await;
    let (one, two) = (
        enrolled(&server, "one").await,
        enrolled(&server, "two").await,
    );
    put_into(&server, "one", "canary").await;
    let (withdrawn, first) = rotate(&server, Replaced::Retired).await;
    let slow = Push {
        pace: Pace::PerMinute(1),
        ..Push::default()
    };
    server.synchronize(group("canary")).await;
    let mut under_way = server.fleet.synchronize(slow, PATIENCE).await.unwrap();
    assert!(!under_way.next().await.unwrap().unwrap().last);

    let (fresh, former) = rotate(&server, Replaced::Withdrawn).await;
    assert_eq!(former, withdrawn);
    let stopped = last(under_way).await;
    assert_eq!(
        (stopped.end, stopped.current),
        (PushEnd::Superseded, withdrawn)
    );
    let push = Push {
        holders_of: Some(withdrawn),
        ..Push::default()
    };
    let progress = server.synchronize(push).await;
    let expected = [
        ("one", SyncState::Synchronized),
        ("two", SyncState::NotInScope),
    ];
    assert_eq!(states(&progress), expected);
    assert_eq!(one.record().active_key_id(), Some(fresh));
    assert_eq!(two.record().active_key_id(), Some(first));
    assert_eq!(two.record().pending_key_id(), None);
    let keys = server.repository.gateway_keys();
    assert!(keys.dependents(withdrawn).await.unwrap().is_empty());

    let progress = server.synchronize(Push::default()).await;
    assert_eq!(progress.counts.synchronized, 2);
    assert_eq!(two.record().active_key_id(), Some(fresh));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_reported_and_asked_again_at_once_where_forced() {
    let server = Server::start().await;
    let one = enrolled(&server, "one").await;
    one.refuse_keys(true);
    rotate(&server, Replaced::Retired).await;
    let progress = server.synchronize(Push::default()).await;
    assert_eq!(states(&progress), [("one", SyncState::Refused)]);
    let detail = &progress.results[0].detail;
    assert!(detail.contains("the disk is full"), "{detail}");

    one.refuse_keys(false);
    let progress = server.synchronize(Push::default()).await;
    assert_eq!(states(&progress), [("one", SyncState::Refused)]);
    let forced = Push {
        force: true,
        ..Push::default()
    };
    let progress = server.synchronize(forced).await;
    assert_eq!(states(&progress), [("one", SyncState::Synchronized)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_push_dials_those_that_wait_for_their_next_attempt() {
    let server = Server::start().await;
    let (address, token) = server.add_at_free_port("one").await;
    let gateway = FakeGateway::with_token(&token);
    let (_, listening) = gateway.listen(address).await;
    server.fleet.wake("one");
    server.until_connected("one").await;
    listening.abort();
    gateway.cut();
    server
        .until("the failure to dial it", || async {
            let row = server.repository.gateways().find("one").await.unwrap();
            row.unwrap().last_error.is_some() && server.fleet.status("one").is_none()
        })
        .await;
    rotate(&server, Replaced::Retired).await;
    let progress = server.synchronize(Push::default()).await;
    assert_eq!(states(&progress), [("one", SyncState::Away)]);
    assert!(progress.results[0].last_seen.is_some());

    gateway.listen(address).await;
    let forced = Push {
        force: true,
        ..Push::default()
    };
    let progress = server.synchronize(forced).await;
    assert_eq!(states(&progress), [("one", SyncState::Synchronized)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_does_not_wait_gets_one_report_and_the_push_goes_on() {
    let server = Server::start().await;
    enrolled(&server, "one").await;
    let (new, _) = rotate(&server, Replaced::Retired).await;
    let once = std::time::Duration::ZERO;
    let progress = server.fleet.synchronize(Push::default(), once).await;
    let progress = last(progress.unwrap()).await;
    assert_eq!(states(&progress), [("one", SyncState::Pending)]);
    assert_eq!(progress.end, PushEnd::UnderWay);
    server
        .until("the proof", || async {
            proved(&server, "one").await == Some(new)
        })
        .await;
}
