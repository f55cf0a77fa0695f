//! The queue over a real repository.

use portcullis_common::id::KeyKind;

use super::super::tests::{Fixture, NOW, registration};
use super::super::{Beside, ProtectedType, Reach, Resource, Told, on_postgres, stand, tamper};
use super::*;

const LATER: UnixMillis = UnixMillis(NOW.0 + 100);

async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    for gateway in ["g1", "g2"] {
        let token = registration(KeyKind::Tdes);
        let gateways = repository.gateways();
        gateways
            .add(gateway, Reach::DialOut, &token, NOW)
            .await
            .unwrap();
    }
    for (name, gateway) in [("a", "g1"), ("b", "g1"), ("c", "g2")] {
        let resource = Resource {
            name: name.to_owned(),
            gateway: gateway.to_owned(),
            connector: "c".to_owned(),
            settings: std::collections::BTreeMap::new(),
            mapping: std::collections::BTreeMap::new(),
            secret_settings: std::collections::BTreeSet::new(),
            groups: std::collections::BTreeSet::new(),
            lost_settings: std::collections::BTreeSet::new(),
            pending: Default::default(),
            common: Default::default(),
            fault: None,
            created: NOW,
        };
        repository.resources().add(resource).await.unwrap();
    }
    fixture
}

fn new(call_id: &str, resource: &str) -> NewQueuedCall {
    NewQueuedCall {
        call_id: call_id.to_owned(),
        resource: resource.to_owned(),
        summary: "delete account ada".to_owned(),
        payload: Zeroizing::new(format!("payload of {call_id}").into_bytes()),
        queued: NOW,
        expires: LATER,
        digest: vec![7; 32],
        lanes: ("ada".to_owned(), "ada".to_owned()),
        direct: None,
        after: None,
        retry_of: None,
        trace_id: None,
    }
}

fn ended(state: QueuedState, outcome: &[u8]) -> EndOf {
    EndOf {
        state,
        outcome: outcome.to_vec(),
        keeps_payload: false,
        now: LATER,
    }
}

/// Whether the work was done.
async fn alone<T>(fixture: &Fixture, work: Result<(Beside, Told<T>), RepositoryError>) -> bool {
    let (work, told) = work.unwrap();
    fixture.repository.alone(work).await.unwrap();
    told.take().is_some()
}

/// Whether the call ended.
async fn end(fixture: &Fixture, call_id: &str, state: QueuedState, outcome: &[u8]) -> bool {
    let calls = fixture.repository.queued_calls();
    alone(fixture, calls.end(call_id, ended(state, outcome))).await
}

/// The first whose turn it is.
async fn first(fixture: &Fixture, gateway: &str) -> Option<Dispatched> {
    let calls = fixture.repository.queued_calls();
    let found = calls.next(gateway, NOW, 1).await.unwrap();
    found.into_iter().next()
}

async fn enqueue(fixture: &Fixture, call_id: &str, resource: &str) -> Enqueued {
    let calls = fixture.repository.queued_calls();
    calls.enqueue(new(call_id, resource), 3).await.unwrap()
}

async fn dispatch(fixture: &Fixture, gateway: &str) -> Option<String> {
    let calls = fixture.repository.queued_calls();
    let Dispatched { call, payload } = first(fixture, gateway).await?;
    let payload = payload.unwrap();
    assert_eq!(
        **payload.bytes,
        *format!("payload of {}", call.call_id).as_bytes()
    );
    assert!(alone(fixture, calls.claim(&call, gateway, NOW)).await);
    calls.waits_no_more(&call);
    Some(call.call_id)
}

async fn payloads(fixture: &Fixture) -> u64 {
    let values = fixture.repository.database().sealed_values();
    let counts = values.counts().await.unwrap();
    let queued = counts
        .iter()
        .filter(|it| it.kind == ProtectedType::QueuedCall);
    queued.map(|it| it.values).sum()
}

async fn state(fixture: &Fixture, call_id: &str) -> QueuedState {
    let calls = fixture.repository.queued_calls();
    calls.find(call_id).await.unwrap().unwrap().state
}

#[tokio::test]
async fn a_payload_goes_nowhere_but_where_it_was_queued_for() {
    for (attack, gateway) in [
        ("UPDATE queued_calls SET resource = 'b'", "g1"),
        ("UPDATE queued_calls SET resource = 'c'", "g2"),
        ("UPDATE resources SET gateway = 'g2' WHERE name = 'a'", "g2"),
        (
            "UPDATE queued_calls SET resource = 'b'; UPDATE sealed_values
             SET field = 'payload for b through g1' WHERE type = 'queued-call'",
            "g1",
        ),
    ] {
        let fixture = fixture().await;
        let calls = fixture.repository.queued_calls();
        enqueue(&fixture, "1", "a").await;
        let database = fixture.repository.database();
        let written = database.write(move |tx| tx.batch(attack));
        written.await.unwrap();
        let found = first(&fixture, gateway).await.unwrap();
        assert!(found.payload.is_err(), "{attack}");
        // It ends, so that the others of its gateway go on.
        let end = ended(QueuedState::Failed, b"");
        assert!(alone(&fixture, calls.refuse(&found.call, end)).await);
        assert_eq!(payloads(&fixture).await, 0, "{attack}");
    }
}

#[tokio::test]
async fn calls_on_one_object_go_one_after_the_other() {
    let fixture = fixture().await;
    let calls = fixture.repository.queued_calls();
    for (call_id, resource) in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")] {
        let queued = enqueue(&fixture, call_id, resource).await;
        assert!(matches!(queued, Enqueued::New(_)), "{queued:?}");
    }
    let mut gateways = calls.awaited_gateways(NOW).await.unwrap();
    gateways.sort_unstable();
    assert_eq!(gateways, ["g1", "g2"]);
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("3"));
    assert_eq!(dispatch(&fixture, "g1").await, None);
    let one = calls.find("1").await.unwrap().unwrap();
    assert!(alone(&fixture, calls.wait_again(&one, WaitsAgain::default())).await);
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
    assert!(end(&fixture, "1", QueuedState::Done, b"done").await);
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("2"));
    assert_eq!(payloads(&fixture).await, 3);
    let ended = calls.find("1").await.unwrap().unwrap();
    assert_eq!(ended.outcome.as_deref(), Some(&b"done"[..]));
    assert_eq!((ended.state, ended.ended), (QueuedState::Done, Some(LATER)));
    // They are this instance's own.
    assert_eq!(calls.take_over("why").await.unwrap(), 0);
}

#[tokio::test]
async fn the_same_id_again_is_the_same_call_and_a_full_queue_takes_no_more() {
    let fixture = fixture().await;
    for call_id in ["1", "2", "3"] {
        enqueue(&fixture, call_id, "a").await;
    }
    let again = enqueue(&fixture, "2", "b").await;
    assert!(
        matches!(&again, Enqueued::Existing(call) if call.resource == "a"),
        "{again:?}"
    );
    let gateway = "g1".to_owned();
    assert_eq!(
        enqueue(&fixture, "4", "b").await,
        Enqueued::Full { gateway }
    );
    assert!(matches!(
        enqueue(&fixture, "4", "c").await,
        Enqueued::New(_)
    ));
    let calls = fixture.repository.queued_calls();
    let error = calls.enqueue(new("5", "nowhere"), 3).await.unwrap_err();
    assert!(matches!(error, RepositoryError::NotFound { .. }), "{error}");
    assert_eq!(payloads(&fixture).await, 4);
}

#[tokio::test]
async fn what_is_cancelled_expired_or_without_its_resource_leaves_no_payload() {
    let fixture = fixture().await;
    let calls = fixture.repository.queued_calls();
    for (call_id, resource) in [("1", "a"), ("2", "a"), ("3", "b")] {
        enqueue(&fixture, call_id, resource).await;
    }
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
    // Under way: not to be taken back any more.
    let kept = calls.cancel("1", (NOW, "by eve")).await.unwrap();
    assert_eq!(kept.state, QueuedState::Dispatched);
    let cancelled = calls.cancel("2", (NOW, "by eve")).await.unwrap();
    assert_eq!(cancelled.state, QueuedState::Cancelled);
    assert_eq!(cancelled.why.as_deref(), Some("by eve"));
    fixture.repository.resources().remove("b").await.unwrap();
    let removed = calls.find("3").await.unwrap().unwrap();
    assert_eq!(removed.state, QueuedState::Cancelled);
    assert_eq!(removed.why.as_deref(), Some("its resource was removed"));
    assert_eq!(payloads(&fixture).await, 1);

    enqueue(&fixture, "4", "c").await;
    let (next, expired) = calls
        .expire(NOW, UnixMillis(0), UnixMillis(0))
        .await
        .unwrap();
    assert!(expired.is_empty());
    assert_eq!(next, Some(LATER));
    let (next, expired) = calls
        .expire(LATER, UnixMillis(0), UnixMillis(0))
        .await
        .unwrap();
    assert_eq!(next, None);
    let expired: Vec<_> = expired.into_iter().map(|call| call.call_id).collect();
    assert_eq!(expired, ["4"]);
    assert_eq!(state(&fixture, "4").await, QueuedState::Expired);
    assert_eq!(state(&fixture, "1").await, QueuedState::Dispatched);
    assert_eq!(payloads(&fixture).await, 1);

    let list = async |all| {
        let filter = QueuedFilter {
            ended: all,
            ..QueuedFilter::default()
        };
        let calls = calls.list(filter, 0, 10).await.unwrap();
        calls
            .into_iter()
            .map(|call| call.call_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(list(true).await, ["1", "2", "3", "4"]);
    assert_eq!(list(false).await, ["1"]);
    calls
        .expire(LATER, UnixMillis(0), LATER.plus(1))
        .await
        .unwrap();
    // The resource was removed just now, long after this test's time.
    assert_eq!(list(true).await, ["1", "3"]);
}

#[tokio::test]
async fn a_call_whose_server_key_is_away_waits_for_it_and_holds_up_no_other_resource() {
    let fixture = fixture().await;
    enqueue(&fixture, "1", "a").await;
    let away = fixture.change_server_key().await;
    enqueue(&fixture, "2", "b").await;
    let key = fixture.keyring.key(away).unwrap();
    assert!(fixture.keyring.remove(away));
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("2"));
    assert_eq!(dispatch(&fixture, "g1").await, None);
    fixture.keyring.add(away, key);
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn only_who_dispatched_a_call_writes_its_outcome_and_a_start_takes_it_over() {
    let fixture = fixture().await;
    let later = fixture.another().await;
    let others = later.queued_calls();
    for call_id in ["1", "2"] {
        enqueue(&fixture, call_id, "a").await;
    }
    let theirs = async |call_id: &str, outcome: &[u8]| {
        let (work, told) = others
            .end(call_id, ended(QueuedState::Done, outcome))
            .unwrap();
        later.alone(work).await.unwrap();
        told.take().is_some()
    };
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
    for foreign in ["1", "2", "none"] {
        assert!(!theirs(foreign, b"theirs").await);
    }
    assert_eq!(state(&fixture, "1").await, QueuedState::Dispatched);
    assert_eq!(payloads(&fixture).await, 2);

    assert_eq!(others.take_over("the server ended").await.unwrap(), 1);
    assert_eq!(state(&fixture, "1").await, QueuedState::Unknown);
    assert_eq!(others.gateways_of_unknown().await.unwrap(), ["g1"]);
    let unknown = others.unknown("g1", 0, 10).await.unwrap().calls;
    assert_eq!(unknown[0].why.as_deref(), Some("the server ended"));
    assert!(!end(&fixture, "1", QueuedState::Done, b"mine, too late").await);
    // It keeps the others of its object waiting until it is known.
    assert!(first(&fixture, "g1").await.is_none());
    assert_eq!(payloads(&fixture).await, 2);
    assert!(theirs("1", b"theirs").await);
    // As after a commit that took effect and gave an error; another outcome comes too late.
    assert!(theirs("1", b"theirs").await);
    assert!(!theirs("1", b"theirs, changed").await);
    let calls = fixture.repository.queued_calls();
    let ended = calls.find("1").await.unwrap().unwrap();
    assert_eq!(ended.outcome.as_deref(), Some(&b"theirs"[..]));
    assert_eq!(payloads(&fixture).await, 1);
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_call_is_taken_over_only_once_the_server_that_dispatched_it_is_gone() {
    if !on_postgres() {
        return;
    }
    let fixture = fixture().await;
    let later = fixture.another().await;
    let others = later.queued_calls();
    let database = fixture.repository.database();
    stand(database, true);
    enqueue(&fixture, "1", "a").await;
    enqueue(&fixture, "2", "b").await;
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("2"));
    assert_eq!(others.take_over("it is gone").await.unwrap(), 0);
    assert!(end(&fixture, "1", QueuedState::Done, b"").await);
    stand(database, false);
    assert_eq!(others.take_over("it is gone").await.unwrap(), 1);
    assert!(!end(&fixture, "2", QueuedState::Done, b"too late").await);
    assert_eq!(state(&fixture, "2").await, QueuedState::Unknown);
}

#[tokio::test]
async fn a_lost_call_is_handed_to_the_server_that_has_the_link_and_to_nobody_else() {
    if !on_postgres() {
        return;
    }
    let fixture = fixture().await;
    let later = fixture.another().await;
    let (calls, others) = (fixture.repository.queued_calls(), later.queued_calls());
    let (database, elsewhere) = (fixture.repository.database(), later.database());
    stand(database, true);
    enqueue(&fixture, "1", "a").await;
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
    let holder = elsewhere.instance();
    tamper(
        database.path(),
        &format!(
            "INSERT INTO links (gateway_id, epoch, instance)
             SELECT gateway_id, 1, '\\x{holder}' FROM gateways WHERE name = 'g1'"
        ),
    );
    // Not while its answer is awaited, nor by one that is gone.
    stand(elsewhere, true);
    assert_eq!(calls.hand_over().await.unwrap(), 0);
    let (work, told) = calls.lose("1", "the link was lost").unwrap();
    fixture.repository.alone(work).await.unwrap();
    assert!(told.take().is_some());
    stand(elsewhere, false);
    assert_eq!(calls.hand_over().await.unwrap(), 0);
    stand(elsewhere, true);
    assert!(others.gateways_of_unknown().await.unwrap().is_empty());
    assert_eq!(calls.hand_over().await.unwrap(), 1);
    assert!(calls.gateways_of_unknown().await.unwrap().is_empty());
    assert!(calls.unknown("g1", 0, 10).await.unwrap().calls.is_empty());
    assert!(!end(&fixture, "1", QueuedState::Done, b"mine, too late").await);
    let unknown = others.unknown("g1", 0, 10).await.unwrap().calls;
    assert_eq!(unknown.len(), 1);
    // It was not begun: whoever has the link then sends it, also the one that did so before.
    let (work, told) = others
        .wait_again(&unknown[0], WaitsAgain::default())
        .unwrap();
    later.alone(work).await.unwrap();
    assert!(told.take().is_some());
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn calls_whose_outcome_is_not_known_are_counted_by_how_they_stand() {
    let fixture = fixture().await;
    let calls = fixture.repository.queued_calls();
    assert_eq!(calls.counts().await.unwrap(), CallCounts::default());
    for (call_id, resource) in [("1", "a"), ("2", "b"), ("3", "c"), ("4", "a")] {
        enqueue(&fixture, call_id, resource).await;
    }
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
    assert_eq!(calls.take_over("the server ended").await.unwrap(), 0);
    let others = fixture.another().await;
    let others = others.queued_calls();
    assert_eq!(others.take_over("the server ended").await.unwrap(), 1);
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("2"));
    assert_eq!(dispatch(&fixture, "g2").await.as_deref(), Some("3"));
    assert!(end(&fixture, "3", QueuedState::Indeterminate, b"").await);
    let expected = CallCounts {
        waiting: 1,
        dispatched: 1,
        unknown: 1,
        indeterminate: 1,
    };
    assert_eq!(calls.counts().await.unwrap(), expected);
    assert!(end(&fixture, "2", QueuedState::Done, b"").await);
    let expected = CallCounts {
        dispatched: 0,
        ..expected
    };
    assert_eq!(calls.counts().await.unwrap(), expected);
}

#[tokio::test]
async fn a_call_dispatched_before_there_were_instances_is_taken_over() {
    let fixture = fixture().await;
    let calls = fixture.repository.queued_calls();
    enqueue(&fixture, "1", "a").await;
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
    let database = fixture.repository.database();
    tamper(database.path(), "UPDATE queued_calls SET instance = NULL");
    assert!(!end(&fixture, "1", QueuedState::Done, b"").await);
    assert_eq!(calls.take_over("why").await.unwrap(), 1);
    assert!(end(&fixture, "1", QueuedState::Done, b"").await);
}

#[tokio::test]
async fn a_direct_call_that_nobody_waits_for_any_more_does_not_hold_up_its_object_for_ever() {
    let fixture = fixture().await;
    let calls = fixture.repository.queued_calls();
    let id = fixture.repository.gateways().find("g1").await.unwrap();
    let id = id.unwrap().registration.gateway_id;
    enqueue(&fixture, "1", "a").await;
    let direct = NewQueuedCall {
        direct: Some(("g1".to_owned(), id)),
        ..new("2", "a")
    };
    let (work, _) = calls.accept(direct).unwrap();
    fixture.repository.alone(work).await.unwrap();
    calls.cancel("1", (NOW, "by eve")).await.unwrap();
    let expire = async |now| {
        let expired = calls.expire(now, UnixMillis(0), UnixMillis(0)).await;
        expired.unwrap()
    };
    let (next, expired) = expire(LATER).await;
    assert!(expired.is_empty());
    let next = next.unwrap();
    assert!(next > LATER);
    let (_, expired) = expire(next).await;
    assert!(expired.iter().all(|call| call.direct) && expired.len() == 1);
    assert_eq!(state(&fixture, "2").await, QueuedState::Expired);
}

#[tokio::test]
async fn a_direct_call_leaves_at_once_where_nothing_is_before_it_on_its_object() {
    let fixture = fixture().await;
    let calls = fixture.repository.queued_calls();
    let id = fixture.repository.gateways().find("g1").await.unwrap();
    let id = id.unwrap().registration.gateway_id;
    let direct = |call_id: &str, lanes: [&str; 2], after| NewQueuedCall {
        lanes: (lanes[0].to_owned(), lanes[1].to_owned()),
        direct: Some(("g1".to_owned(), id)),
        after,
        ..new(call_id, "a")
    };
    let accept = async |call| {
        let (work, told) = calls.accept(call).unwrap();
        let written = fixture.repository.alone(work).await.unwrap();
        (written, told.take().unwrap())
    };
    let (written, first) = accept(direct("1", ["ada", "ada"], None)).await;
    assert!(written && matches!(&first, Enqueued::New(it) if it.state == QueuedState::Dispatched));
    // A rename occupies both names; another object is free.
    for (call_id, lanes, leaves) in [
        ("2", ["bob", "ada"], false),
        ("3", ["bob", "bob"], false),
        ("4", ["eve", "eve"], true),
    ] {
        assert_eq!(
            accept(direct(call_id, lanes, None)).await.0,
            leaves,
            "{call_id}"
        );
    }
    assert!(!calls.is_turn("2").await.unwrap());
    let failed = ended(QueuedState::Failed, b"busy");
    let (work, told) = calls.end("1", failed).unwrap();
    fixture.repository.alone(work).await.unwrap();
    assert!(told.take().unwrap().others_wait);
    assert!(calls.is_turn("2").await.unwrap());
    assert!(!calls.is_turn("3").await.unwrap());
    // The same again is the next attempt, where its caller has seen that it failed.
    let again = accept(direct("1", ["carl", "carl"], None)).await.1;
    assert!(matches!(again, Enqueued::Existing(_)), "{again:?}");
    let again = accept(direct("1", ["carl", "carl"], Some(1))).await.1;
    assert!(
        matches!(&again, Enqueued::New(call) if call.attempt == 2),
        "{again:?}"
    );
    let other = NewQueuedCall {
        direct: Some(("g2".to_owned(), id)),
        ..direct("5", ["dora", "dora"], None)
    };
    assert_eq!(accept(other).await.1, Enqueued::Moved);
}

#[tokio::test]
async fn a_call_of_an_earlier_version_is_known_after_the_upgrade_and_a_forged_one_is_not() {
    if on_postgres() {
        return;
    }
    let fixture = fixture().await;
    for call_id in ["1", "2"] {
        enqueue(&fixture, call_id, "a").await;
    }
    fixture.repository.make_earlier_call_macs().await;
    let path = fixture.repository.database().path();
    tamper(
        path,
        "UPDATE queued_calls SET summary = 'x' WHERE call_id = '2'",
    );
    let opened = fixture.another().await;
    let fault = async |call_id| {
        let call = opened.queued_calls().find(call_id).await.unwrap();
        call.unwrap().fault
    };
    assert_eq!(fault("1").await, None);
    assert!(fault("2").await.is_some());
}

const FLIPPED: &str =
    "UPDATE queued_calls SET state = 0, dispatched_ms = NULL, instance = NULL, ended_ms = NULL";

#[tokio::test]
async fn a_call_whose_row_was_changed_by_hand_is_never_sent() {
    if on_postgres() {
        return;
    }
    for attack in [
        FLIPPED,
        "UPDATE queued_calls SET sequence = 10 WHERE call_id = '1'",
        "UPDATE queued_calls SET call_id = '1x' WHERE call_id = '1';
         UPDATE sealed_values SET owner = CAST('1x' AS BLOB) WHERE owner = CAST('1' AS BLOB)",
        "UPDATE queued_calls SET digest = zeroblob(32)",
        "UPDATE queued_calls SET expires_ms = expires_ms + 1",
        "UPDATE queued_calls SET summary = 'read account ada'",
        "UPDATE queued_calls SET mac = NULL",
    ] {
        let fixture = fixture().await;
        let calls = fixture.repository.queued_calls();
        enqueue(&fixture, "1", "a").await;
        enqueue(&fixture, "2", "a").await;
        if attack == FLIPPED {
            assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("1"));
        }
        tamper(fixture.repository.database().path(), attack);
        let checked = fixture.repository.check_rows().await.unwrap();
        assert!(checked.fault_count > 0, "{attack}");
        let found = calls.list(QueuedFilter::default(), 0, 10).await.unwrap();
        let bad = found.iter().find(|call| call.fault.is_some()).unwrap();
        assert_eq!(bad.state, QueuedState::Indeterminate, "{attack}");
        if attack.contains("sequence = 10") {
            assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("2"));
            assert!(end(&fixture, "2", QueuedState::Done, b"").await);
        }
        let found = first(&fixture, "g1").await.unwrap();
        let refused = matches!(found.payload, Err(PayloadError::Tampered(_)));
        assert!(refused, "{attack}: {found:?}");
        let id = found.call.call_id.clone();
        let claimed = calls.claim(&found.call, "g1", LATER);
        assert!(!alone(&fixture, claimed).await, "{attack}");
        let end = ended(QueuedState::Indeterminate, b"");
        assert!(alone(&fixture, calls.refuse(&found.call, end)).await);
        // Nobody makes it right again by telling what came of it.
        calls
            .resolve(&id, ended(QueuedState::Done, b""))
            .await
            .unwrap();
        assert!(calls.find(&id).await.unwrap().unwrap().fault.is_some());
    }
}

#[tokio::test]
async fn a_call_that_is_put_back_is_not_sent_twice() {
    let fixture = fixture().await;
    let calls = fixture.repository.queued_calls();
    let path = fixture.repository.database().path();
    for id in ["sent", "cancelled"] {
        enqueue(&fixture, id, "a").await;
    }
    tamper(
        path,
        "CREATE TABLE keep AS SELECT * FROM queued_calls;
         CREATE TABLE payloads AS SELECT * FROM sealed_values WHERE type = 'queued-call'",
    );
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("sent"));
    assert!(end(&fixture, "sent", QueuedState::Done, b"").await);
    calls.cancel("cancelled", (NOW, "by eve")).await.unwrap();
    tamper(
        path,
        "DELETE FROM queued_calls; INSERT INTO queued_calls SELECT * FROM keep;
         INSERT INTO sealed_values (type, owner, field, sealed, context)
         SELECT type, owner, field, sealed, context FROM payloads",
    );
    // Nothing is wrong with its own row; the sum over all knows.
    assert_eq!(
        fixture.repository.check_rows().await.unwrap().fault_count,
        0
    );
    for id in ["sent", "cancelled"] {
        let found = first(&fixture, "g1").await.unwrap();
        assert_eq!(found.call.call_id, id);
        let Err(PayloadError::Tampered(why)) = found.payload else {
            panic!("{id} is sent again");
        };
        assert!(why.contains("put back"), "{why}");
        assert!(!alone(&fixture, calls.claim(&found.call, "g1", NOW)).await);
        let end = ended(QueuedState::Indeterminate, b"");
        assert!(alone(&fixture, calls.refuse(&found.call, end)).await);
    }
    assert_eq!(payloads(&fixture).await, 0);
}

#[tokio::test]
async fn calls_without_an_outcome_are_held_where_the_repository_went_back() {
    let fixture = fixture().await;
    let repository = &fixture.repository;
    let calls = repository.queued_calls();
    enqueue(&fixture, "went", "a").await;
    assert_eq!(dispatch(&fixture, "g1").await.as_deref(), Some("went"));
    enqueue(&fixture, "waits", "b").await;
    let loss = repository.accept_loss(LATER).await.unwrap();
    assert_eq!(loss.held, 2);
    for id in ["waits", "went"] {
        let call = calls.find(id).await.unwrap().unwrap();
        assert_eq!(call.state, QueuedState::Indeterminate, "{call:?}");
        assert!(call.fault.is_none(), "{call:?}");
        assert!(call.why.as_ref().unwrap().contains("went back in time"));
        // What was sent is kept, so that it can be made again.
        assert!(calls.payload(&call).await.unwrap().unwrap().is_ok());
    }
    let next = calls.next("g1", LATER, 10).await.unwrap();
    assert!(next.is_empty(), "nothing goes by itself");
}
