//! A call is carried out once, whoever asks for it how often, and over restarts.

use portcullis_proto::gateway::v1 as wire;
use wire::outcome::Result as Kept;

use super::bench::*;
use crate::journal::{Journal, Known, Purpose};
use crate::model::{FailureKind, Indeterminate, Outcome};

#[tokio::test]
async fn a_call_that_has_ended_is_answered_from_the_journal_also_after_a_restart() {
    let bench = Bench::new();
    let journal = bench.open();
    for number in 0..3 {
        call(&journal, number).await;
    }
    for restarts in 0..2 {
        let journal = if restarts == 0 {
            journal.clone()
        } else {
            journal.close().await;
            bench.open()
        };
        for number in 0..3 {
            for purpose in [Purpose::Begin, Purpose::Look, Purpose::LookAnyway] {
                let known = claim(&journal, number, purpose);
                // What failed changed nothing, and may be tried again.
                let again = number == 1 && purpose == Purpose::Begin;
                let expected = if again {
                    "new".to_owned()
                } else {
                    ended(number)
                };
                assert_eq!(word(&known), expected);
            }
            let other = journal.claim(SERVER, &id(number), content(9), 0, Purpose::Begin);
            assert_eq!(word(&other), "other");
        }
        // What another server calls so is another call.
        let other = portcullis_common::id::ServerId::from_array([2; 16]);
        let known = journal.claim(other, &id(0), content(0), 0, Purpose::Begin);
        assert_eq!(word(&known), "new");
    }
}

#[tokio::test]
async fn whoever_asks_for_a_call_under_way_learns_its_outcome() {
    let bench = Bench::new();
    let journal = bench.open();
    let begun = begin(&journal, 1).await;
    let Known::UnderWay(joined) = claim(&journal, 1, Purpose::Begin) else {
        panic!("not under way");
    };
    let Known::UnderWay(looking) = claim(&journal, 1, Purpose::Look) else {
        panic!("not under way");
    };
    begun.end(&outcome(1));
    assert_eq!(joined.outcome().await, outcome(1));
    assert_eq!(looking.outcome().await, outcome(1));
}

#[tokio::test]
async fn a_call_is_counted_as_under_way_until_it_ends_however_that_is() {
    let mut bench = Bench::new();
    bench.settings.most = 16 << 10;
    let journal = bench.open();
    let under_way = || journal.shared.under_way.count();
    let begun = begin(&journal, 1).await;
    assert_eq!(under_way(), 1);
    begun.end(&outcome(1));
    assert_eq!(under_way(), 0);
    drop(begin(&journal, 2).await);
    let unsure = Outcome::Indeterminate(Indeterminate::default());
    begin(&journal, 3).await.end(&unsure);
    assert_eq!(under_way(), 0);
    // The journal is full.
    let mut number = 4;
    let refused = loop {
        let mut claim = new(&journal, number);
        if let Err(refused) = super::bench::begun(&mut claim).await {
            assert_eq!(under_way(), 0);
            break refused;
        }
        claim.end(&outcome(number));
        number += 1;
    };
    assert_eq!(refused.kind, FailureKind::Busy);
    assert_eq!(under_way(), 0);
}

#[tokio::test]
async fn what_was_begun_and_not_seen_to_end_is_looked_at_with_what_was_seen_before() {
    let bench = Bench::new();
    let journal = bench.open();
    let lost = begin(&journal, 1).await;
    let Known::UnderWay(joined) = claim(&journal, 1, Purpose::Look) else {
        panic!("not under way");
    };
    drop(lost);
    assert!(matches!(joined.outcome().await, Outcome::Indeterminate(why) if why.look_again));
    journal.close().await;
    drop(journal);
    let journal = bench.open();
    let seen = "unseen: [(\"there\", \"no\")]";
    let known = claim(&journal, 1, Purpose::Begin);
    assert_eq!(word(&known), seen);
    // One looks at a time.
    let second = claim(&journal, 1, Purpose::Look);
    assert_eq!(word(&second), "under way");
    drop(known);
    let Known::Unseen(claimed, _) = claim(&journal, 1, Purpose::Look) else {
        panic!("seen");
    };
    claimed.end(&outcome(0));
    assert_eq!(word(&claim(&journal, 1, Purpose::Begin)), ended(0));
}

#[tokio::test]
async fn a_call_that_is_refused_before_it_begins_may_come_again() {
    let bench = Bench::new();
    let journal = bench.open();
    new(&journal, 1).end(&outcome(1));
    drop(new(&journal, 1));
    call(&journal, 1).await;
}

#[tokio::test]
async fn a_look_bars_a_call_that_is_not_there_for_good() {
    let bench = Bench::new();
    let journal = bench.open();
    let Known::Absent(absent) = claim(&journal, 1, Purpose::Look) else {
        panic!("there");
    };
    assert!(absent.bar(false).await.unwrap().is_none());
    let Known::Absent(absent) = claim(&journal, 2, Purpose::LookAnyway) else {
        panic!("there");
    };
    // The journal may lack it: the resource has to be looked at, again and again.
    drop(absent.bar(true).await.unwrap().unwrap());
    journal.close().await;
    for journal in [journal, bench.open()] {
        for purpose in [Purpose::Begin, Purpose::Look] {
            let known = claim(&journal, 1, purpose);
            assert_eq!(kind(known), FailureKind::NotBegun);
        }
        let known = claim(&journal, 2, Purpose::Begin);
        assert_eq!(kind(known), FailureKind::Forgotten);
        let known = claim(&journal, 2, Purpose::Look);
        assert_eq!(word(&known), "unseen: []");
    }
}

#[tokio::test]
async fn a_server_learns_what_came_of_its_calls() {
    let bench = Bench::new();
    let journal = bench.open();
    for number in 0..3 {
        call(&journal, number).await;
    }
    let begun = begin(&journal, 3).await;
    drop(begin(&journal, 4).await);
    let ids: Vec<_> = (0..6).map(|number| id(number).into()).collect();
    let found = journal.finished(SERVER, &ids);
    let words: Vec<_> = found.iter().map(describe).collect();
    let expected = [
        "call-0 done",
        "call-1 failed",
        "call-2 done 1001 ada",
        "call-3 under way",
        "call-4 indeterminate, unseen",
    ];
    assert_eq!(words, expected);
    drop(begun);
    let other = portcullis_common::id::ServerId::from_array([2; 16]);
    assert!(journal.finished(other, &ids).is_empty());
}

fn describe(call: &wire::FinishedCall) -> String {
    let outcome = call.outcome.as_ref().unwrap();
    let what = match &outcome.result {
        Some(Kept::Done(done)) => match &done.detail {
            Some(wire::done::Detail::Object(object)) => {
                format!("done {} {}", object.id, object.name)
            }
            _ => "done".to_owned(),
        },
        Some(Kept::Failed(_)) => "failed".to_owned(),
        Some(Kept::Indeterminate(_)) => "indeterminate".to_owned(),
        None => "under way".to_owned(),
    };
    let unseen = if call.unseen { ", unseen" } else { "" };
    format!("{} {what}{unseen}", outcome.call_id)
}

#[tokio::test]
async fn many_calls_at_once_share_their_flushes() {
    let bench = Bench::new();
    let journal = bench.open();
    let calls = (0..500).map(|number| {
        let journal = journal.clone();
        async move { call(&journal, number).await }
    });
    futures_util::future::join_all(calls).await;
    journal.close().await;
    let journal = bench.open();
    for number in 0..500 {
        assert_eq!(word(&claim(&journal, number, Purpose::Look)), ended(number));
    }
}

#[tokio::test]
async fn what_failed_and_is_tried_again_has_the_last_outcome() {
    let bench = Bench::new();
    let journal = bench.open();
    call(&journal, 1).await;
    // It does not get far, twice, and then is done.
    drop(new(&journal, 1));
    new(&journal, 1).end(&outcome(0));
    assert_eq!(word(&claim(&journal, 1, Purpose::Look)), ended(1));
    begin(&journal, 1).await.end(&outcome(2));
    journal.close().await;
    for journal in [journal, bench.open()] {
        assert_eq!(word(&claim(&journal, 1, Purpose::Begin)), ended(2));
    }
}

#[test]
fn the_digest_is_of_the_content_and_of_nothing_else() {
    let journal = Journal::in_memory();
    let secret = |value: &[u8]| Some(wire::Secret::plain(value.to_vec()));
    let call = |password: &[u8], settings: &[(&str, &str)]| wire::Call {
        call_id: "1".to_owned(),
        connector: "local".to_owned(),
        settings: settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        verb: Some(wire::call::Verb::SetPassword(wire::SetPassword {
            object: None,
            password: secret(password),
        })),
        ..wire::Call::default()
    };
    let settings = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")];
    let mut first = call(b"right", &settings);
    let digest = journal.digest(&mut first);
    assert_eq!(first, call(b"right", &settings), "the call stays as it was");
    let mut again = call(b"right", &settings);
    again.timeout_ms = 7;
    again.look = true;
    again.journal_lost = true;
    again.accepted_ms_ago = 9;
    again.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    assert_eq!(journal.digest(&mut again), digest);
    let others = [
        call(b"wrong", &settings),
        call(b"right", &settings[1..]),
        call(b"right", &[("a", "1b"), ("", "2")]),
    ];
    for mut other in others {
        assert_ne!(journal.digest(&mut other), digest);
    }
    // Nobody can try contents without the key.
    assert_ne!(Journal::in_memory().digest(&mut first), digest);
}
