//! How long the journal keeps what, and how large it becomes.

use std::time::Duration;

use portcullis_common::id::ServerId;

use super::bench::*;
use crate::journal::{Journal, Known, MAX_ACKNOWLEDGING, Purpose};
use crate::model::{CallId, Failure, FailureKind, Outcome};

/// Compacts the journal, and opens it again.
async fn compacted(bench: &Bench, journal: Journal) -> Journal {
    journal.compact().await;
    journal.close().await;
    bench.open()
}

#[tokio::test]
async fn an_entry_goes_once_it_is_acknowledged_and_its_time_has_passed() {
    let mut bench = Bench::new();
    bench.settings.kept = Duration::ZERO;
    let journal = bench.open();
    journal.set_acknowledging(SERVER, true);
    for number in 0..4 {
        call(&journal, number).await;
    }
    let Known::Absent(absent) = claim(&journal, 4, Purpose::Look) else {
        panic!("there");
    };
    absent.bar(false).await.unwrap();
    drop(begin(&journal, 5).await);
    let told = journal.info();
    let journal = compacted(&bench, journal).await;
    assert_eq!(journal.info().incarnation, told.incarnation);
    assert!(journal.info().sequence >= told.sequence);
    for number in 0..4 {
        assert_eq!(word(&claim(&journal, number, Purpose::Look)), ended(number));
    }
    let barred = claim(&journal, 4, Purpose::Look);
    assert_eq!(kind(barred), FailureKind::NotBegun);
    assert!(matches!(
        claim(&journal, 5, Purpose::Look),
        Known::Unseen(..)
    ));

    let acknowledged = [0, 1, 4].map(|number| id(number).into());
    journal.acknowledge(SERVER, acknowledged.to_vec());
    let journal = compacted(&bench, journal).await;
    for number in [2, 3] {
        assert_eq!(word(&claim(&journal, number, Purpose::Look)), ended(number));
    }
    // Gone, and never said not to have been begun: neither to a look nor when it comes again.
    for number in [0, 1, 4] {
        for purpose in [Purpose::Begin, Purpose::Look] {
            let known = earlier(&journal, number, purpose);
            assert_eq!(kind(known), FailureKind::Forgotten);
        }
    }
    assert!(matches!(
        claim(&journal, 5, Purpose::Look),
        Known::Unseen(..)
    ));
}

#[cfg(unix)]
#[tokio::test]
async fn as_many_acknowledgements_as_there_may_be_leave_a_journal_that_is_sound() {
    let bench = Bench::new();
    let journal = bench.open();
    journal.set_acknowledging(SERVER, true);
    let long = |number: usize| CallId::new(format!("{number:0>128}")).unwrap();
    let ids: Vec<_> = (0..512).map(long).collect();
    for (number, id) in ids.iter().enumerate() {
        let known = journal.claim(SERVER, id, content(number), 0, Purpose::Begin);
        let Known::New(mut claim) = known else {
            panic!("{known:?}");
        };
        begun(&mut claim).await.unwrap();
        claim.end(&outcome(number));
    }
    journal.acknowledge(
        SERVER,
        ids.iter().map(|id| id.as_str().to_owned()).collect(),
    );
    journal.close().await;
    let mut bench = bench;
    bench.settings.kept = Duration::ZERO;
    let journal = bench.open();
    assert_eq!(journal.info().fault, None);
    let journal = compacted(&bench, journal).await;
    for (number, id) in ids.iter().enumerate() {
        let known = journal.claim(SERVER, id, content(number), 3_600_000, Purpose::Look);
        assert_eq!(kind(known), FailureKind::Forgotten);
    }
}

#[tokio::test]
async fn an_entry_stays_for_its_time() {
    let bench = Bench::new();
    let journal = bench.open();
    journal.set_acknowledging(SERVER, true);
    call(&journal, 0).await;
    journal.acknowledge(SERVER, vec![id(0).into()]);
    let journal = compacted(&bench, journal).await;
    assert_eq!(word(&claim(&journal, 0, Purpose::Begin)), ended(0));
}

#[tokio::test]
async fn entries_of_a_server_that_acknowledges_nothing_are_kept_for_their_time_alone() {
    let mut bench = Bench::new();
    bench.settings.kept = Duration::ZERO;
    let journal = bench.open();
    call(&journal, 1).await;
    let journal = compacted(&bench, journal).await;
    let known = earlier(&journal, 1, Purpose::Begin);
    assert_eq!(kind(known), FailureKind::Forgotten);
}

#[tokio::test]
async fn a_call_whose_end_nobody_saw_is_indeterminate_once_the_server_has_it_so() {
    let bench = Bench::new();
    let journal = bench.open();
    drop(begin(&journal, 1).await);
    journal.acknowledge(SERVER, vec![id(1).into()]);
    let journal = compacted(&bench, journal).await;
    let known = claim(&journal, 1, Purpose::Look);
    assert!(
        word(&known).starts_with("ended: Indeterminate"),
        "{known:?}"
    );
}

#[tokio::test]
async fn a_full_journal_refuses_calls_and_takes_them_again_once_there_is_room() {
    let mut bench = Bench::new();
    bench.settings.most = 16 << 10;
    let journal = bench.open();
    journal.set_acknowledging(SERVER, true);
    let mut number = 0;
    let failure = loop {
        let mut claim = new(&journal, number);
        if let Err(failure) = begun(&mut claim).await {
            break failure;
        }
        claim.end(&outcome(number));
        number += 1;
    };
    assert_eq!(failure.kind, FailureKind::Busy);
    assert!(failure.message.contains("journal.most_mib"), "{failure:?}");
    assert!(number > 20, "{number}");
    // What has ended is known all the same, and what was refused may come again.
    for number in 0..number {
        assert_eq!(word(&claim(&journal, number, Purpose::Look)), ended(number));
    }
    assert_eq!(word(&claim(&journal, number, Purpose::Begin)), "new");
    journal.close().await;
    drop(journal);
    assert!(bench.bytes().len() < 20 << 10);
    bench.settings.most = 64 << 10;
    let journal = bench.open();
    call(&journal, number).await;
}

#[tokio::test]
async fn a_server_that_acknowledges_nothing_leaves_room_for_others() {
    let mut bench = Bench::new();
    bench.settings.most = 64 << 10;
    bench.settings.kept = Duration::ZERO;
    let other = ServerId::from_array([2; 16]);
    let fill = async |journal: &Journal| {
        journal.set_acknowledging(SERVER, true);
        journal.set_acknowledging(other, true);
        let mut number = 0;
        loop {
            let Known::New(mut claim) = claim(journal, number, Purpose::Begin) else {
                number += 1;
                continue;
            };
            match begun(&mut claim).await {
                Ok(()) => claim.end(&outcome(number)),
                Err(failure) => break failure,
            }
        }
    };
    let journal = bench.open();
    let refused = fill(&journal).await;
    assert_eq!(refused.kind, FailureKind::Busy);
    assert!(refused.message.contains("for other servers"), "{refused:?}");
    // One that acknowledges what it gets can go on for ever.
    for number in 0..200 {
        let id = CallId::new(format!("other-{number}")).unwrap();
        let known = journal.claim(other, &id, content(number), 0, Purpose::Begin);
        let Known::New(mut claim) = known else {
            panic!("{known:?}");
        };
        begun(&mut claim).await.unwrap();
        claim.end(&outcome(number));
        journal.acknowledge(other, vec![id.into()]);
        if number % 20 == 19 {
            journal.compact().await;
        }
    }
    // A start changes nothing of it, and neither does what is compacted.
    journal.compact().await;
    journal.close().await;
    let journal = bench.open();
    let refused = fill(&journal).await;
    assert!(refused.message.contains("for other servers"), "{refused:?}");
}

#[tokio::test]
async fn a_journal_that_grows_is_compacted_while_calls_go_on() {
    let mut bench = Bench::new();
    bench.settings.kept = Duration::ZERO;
    let journal = bench.open();
    let first = begin(&journal, 0).await;
    let calls = 1..12_000;
    for batch in calls.clone().collect::<Vec<_>>().chunks(200) {
        let calls = batch.iter().map(|number| call(&journal, *number));
        futures_util::future::join_all(calls).await;
    }
    assert!(bench.bytes().len() < 3 << 20, "{}", bench.bytes().len());
    assert_eq!(word(&claim(&journal, 0, Purpose::Look)), "under way");
    first.end(&outcome(0));
    assert_eq!(word(&claim(&journal, 0, Purpose::Look)), ended(0));
    let last = calls.end - 1;
    assert_eq!(word(&claim(&journal, last, Purpose::Look)), ended(last));
    let gone = earlier(&journal, 1, Purpose::Look);
    assert_eq!(kind(gone), FailureKind::Forgotten);
}

#[tokio::test]
async fn what_failed_and_comes_again_keeps_its_end_while_the_journal_is_compacted() {
    let bench = Bench::new();
    let journal = bench.open();
    // Of what stands before it nothing stays, so that it moves.
    drop(begin(&journal, 1).await);
    journal.acknowledge(SERVER, vec![id(1).into()]);
    let failed = Outcome::Failed(Failure::unavailable("not now"));
    begin(&journal, 2).await.end(&failed);
    begin(&journal, 3).await.end(&failed);
    let again = new(&journal, 2);
    journal.compact().await;
    drop(again);
    let told = word(&claim(&journal, 2, Purpose::Look));
    assert!(told.contains("not now"), "{told}");
    journal.compact().await;
    journal.close().await;
    let told = word(&claim(&bench.open(), 2, Purpose::Look));
    assert!(told.contains("not now"), "{told}");
}

#[test]
fn servers_without_end_take_no_room_without_end() {
    let journal = Journal::in_memory();
    for number in 0..2 * MAX_ACKNOWLEDGING as u128 {
        let server = ServerId::from_bytes(&number.to_be_bytes()).unwrap();
        journal.set_acknowledging(server, true);
    }
    let kept = journal.shared.lock().acknowledging.len();
    assert_eq!(kept, MAX_ACKNOWLEDGING);
}
