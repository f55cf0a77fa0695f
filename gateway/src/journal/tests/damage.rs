//! What becomes of a journal that was cut short, changed, put back or lost.

use std::fs;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::bench::*;
use crate::journal::disk;
use crate::journal::record::{FRONT, Front, HEADER, OVERHEAD};
use crate::journal::{Accepted, Known, Purpose, accept, show};
use crate::model::FailureKind;

/// Where each record begins, and where the last one ends.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![HEADER];
    let mut at = HEADER;
    while let Some(front) = bytes.get(at..at + FRONT).and_then(Front::decode) {
        at += front.whole();
        starts.push(at);
    }
    starts
}

/// A journal of some calls, of which the last has no end.
async fn some_calls(bench: &Bench) -> Vec<u8> {
    let journal = bench.open();
    for number in 0..4 {
        call(&journal, number).await;
    }
    drop(begin(&journal, 4).await);
    journal.close().await;
    bench.bytes()
}

/// Whatever byte the disk got last when the power failed, the calls up to there are known, and the
/// journal is gone on with.
#[tokio::test]
async fn a_write_that_was_cut_short_at_any_byte_loses_nothing_that_was_flushed() {
    let bench = Bench::new();
    let whole = some_calls(&bench).await;
    let starts = starts(&whole);
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for length in HEADER..=whole.len() {
        let mut cut = whole.get(..length).unwrap().to_vec();
        // A file may be longer than what reached the disk of it.
        let stray = match random.random_range(0..3) {
            0 => 0,
            _ => random.random_range(0..200),
        };
        let zeros = random.random_bool(0.5);
        cut.extend((0..stray).map(|_| if zeros { 0 } else { random.random::<u8>() }));
        bench.put(&cut);
        let shown = show(&bench.state()).unwrap().unwrap();
        assert_eq!(shown.fault, None, "seed {seed}, {length} bytes");
        // What follows by chance may be what was cut off.
        let same = cut
            .iter()
            .zip(&whole)
            .take_while(|(one, other)| one == other);
        let same = same.count();
        let records = starts.iter().filter(|start| **start <= same).count() - 1;
        assert_eq!(
            shown.sequence, records as u64,
            "seed {seed}, {length} bytes"
        );
        if length % 23 == 0 || length == whole.len() {
            let journal = bench.open();
            call(&journal, 100).await;
            journal.close().await;
            let shown = show(&bench.state()).unwrap().unwrap();
            assert_eq!(shown.fault, None);
            assert!(shown.sequence > records as u64);
        }
    }
}

/// No byte of what was flushed can change without it being seen.
#[tokio::test]
async fn every_byte_that_is_damaged_is_found() {
    let bench = Bench::new();
    let whole = some_calls(&bench).await;
    let starts = starts(&whole);
    // The last record says what is on the disk, and may itself be cut short.
    let last = starts[starts.len() - 2];
    for at in 0..last {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        bench.put(&bytes);
        let fault = show(&bench.state()).unwrap().unwrap().fault;
        assert!(fault.is_some(), "byte {at} of {}", whole.len());
    }
}

#[tokio::test]
async fn records_that_are_taken_out_put_in_or_moved_are_found() {
    let bench = Bench::new();
    let whole = some_calls(&bench).await;
    let starts = starts(&whole);
    let record = |number: usize| &whole[starts[number]..starts[number + 1]];
    let count = starts.len() - 1;
    for number in 0..count - 1 {
        let (before, after) = (&whole[..starts[number]], &whole[starts[number + 1]..]);
        bench.put(&[before, after].concat());
        let removed = show(&bench.state()).unwrap().unwrap().fault;
        assert!(removed.is_some(), "record {number} of {count} removed");
        bench.put(&[before, record(number), record(number), after].concat());
        let doubled = show(&bench.state()).unwrap().unwrap();
        // Where nothing but that it is on the disk follows, nothing is lost with the second.
        let whole = doubled.sequence + 1 == count as u64;
        assert!(
            doubled.fault.is_some() || whole,
            "record {number} of {count} doubled"
        );
    }
    for number in 0..count - 2 {
        let rest = &whole[starts[number + 2]..];
        let before = &whole[..starts[number]];
        bench.put(&[before, record(number + 1), record(number), rest].concat());
        let moved = show(&bench.state()).unwrap().unwrap().fault;
        assert!(moved.is_some(), "record {number} of {count} moved");
    }
}

#[tokio::test]
async fn a_damaged_journal_refuses_what_it_does_not_know_until_it_is_accepted() {
    let bench = Bench::new();
    let whole = some_calls(&bench).await;
    let starts = starts(&whole);
    let mut bytes = whole.clone();
    // Within the end of the call 2: the two before it, and what stands behind, can be read.
    let place = whole_of(&whole, &starts, "call-2");
    bytes[starts[place[1]] + OVERHEAD] ^= 1;
    bench.put(&bytes);
    let journal = bench.open();
    let fault = journal.info().fault.unwrap();
    assert!(
        fault.contains("portcullis-gateway journal accept"),
        "{fault}"
    );
    assert_eq!(word(&claim(&journal, 0, Purpose::Begin)), ended(0));
    let refused = claim(&journal, 9, Purpose::Begin);
    assert_eq!(kind(refused), FailureKind::Unavailable);
    assert!(matches!(claim(&journal, 9, Purpose::Look), Known::Ended(_)));
    let former = journal.info().incarnation;
    journal.close().await;
    drop(journal);

    let accepted = accept(&bench.state()).unwrap().unwrap();
    assert_eq!(accepted, Accepted { kept: 5, lost: 1 });
    assert_eq!(
        fs::read(bench.file().with_extension("damaged")).unwrap(),
        bytes
    );
    let journal = bench.open();
    assert_eq!(journal.info().fault, None);
    assert_ne!(journal.info().incarnation, former);
    for number in [0, 1, 3] {
        assert_eq!(word(&claim(&journal, number, Purpose::Look)), ended(number));
    }
    // Of one the end is lost, and one never had one.
    for number in [2, 4] {
        let known = claim(&journal, number, Purpose::Look);
        assert!(matches!(known, Known::Unseen(..)), "{known:?}");
    }
    // A call of before may have been lost: that it is not there says nothing.
    let old = journal.claim(SERVER, &id(9), content(9), 3_600_000, Purpose::Look);
    assert_eq!(kind(old), FailureKind::Forgotten);
    call(&journal, 10).await;
    journal.close().await;
    assert_eq!(accept(&bench.state()).unwrap(), None);
}

/// The records that hold this text.
fn whole_of(bytes: &[u8], starts: &[usize], text: &str) -> Vec<usize> {
    let pairs = starts.windows(2).enumerate();
    let holds = |record: &[u8]| record.windows(text.len()).any(|at| at == text.as_bytes());
    pairs
        .filter(|(_, pair)| holds(&bytes[pair[0]..pair[1]]))
        .map(|(number, _)| number)
        .collect()
}

#[tokio::test]
async fn a_journal_that_was_put_back_tells_by_its_sequence() {
    let bench = Bench::new();
    let backup = some_calls(&bench).await;
    let journal = bench.open();
    call(&journal, 5).await;
    let told = journal.info();
    journal.close().await;
    drop(journal);
    bench.put(&backup);
    let journal = bench.open();
    assert_eq!(journal.info().incarnation, told.incarnation);
    assert!(journal.info().sequence < told.sequence);
}

#[tokio::test]
async fn a_journal_or_a_key_that_is_gone_is_no_empty_journal() {
    let bench = Bench::new();
    let whole = some_calls(&bench).await;
    let incarnation = bench.open().info().incarnation;
    let key = bench.state().path().join("journal.key");
    let away = key.with_extension("away");
    fs::rename(&key, &away).unwrap();
    let fault = bench.open().info().fault.unwrap();
    assert!(fault.contains("journal.key"), "{fault}");
    fs::rename(&away, &key).unwrap();
    assert_eq!(bench.bytes(), whole);
    fs::remove_file(bench.file()).unwrap();
    let journal = bench.open();
    assert_ne!(journal.info().incarnation, incarnation);
    let old = journal.claim(SERVER, &id(1), content(1), 60_000, Purpose::Look);
    assert_eq!(kind(old), FailureKind::Forgotten);
}

/// Otherwise every call would be one that it may have forgotten.
#[tokio::test]
async fn a_clock_that_was_set_back_is_noticed() {
    let bench = Bench::new();
    some_calls(&bench).await;
    let ahead = crate::journal::now() + 10 * 86_400_000;
    bench.forget_up_to(ahead);
    let journal = bench.open();
    let fault = journal.info().fault.unwrap();
    assert!(fault.contains("the clock was set back"), "{fault}");
    journal.close().await;
    let accepted = accept(&bench.state()).unwrap().unwrap();
    assert_eq!(accepted, Accepted { kept: 5, lost: 0 });
    let journal = bench.open();
    assert_eq!(journal.info().fault, None);
    assert_eq!(word(&claim(&journal, 0, Purpose::Begin)), ended(0));
}

#[tokio::test]
async fn no_password_and_no_value_of_an_attribute_stands_in_the_files() {
    use portcullis_proto::gateway::v1 as wire;

    let bench = Bench::new();
    let journal = bench.open();
    let mut call = wire::Call {
        call_id: "1".to_owned(),
        verb: Some(wire::call::Verb::SetPassword(wire::SetPassword {
            object: None,
            password: Some(wire::Secret::plain(b"correct horse battery".to_vec())),
        })),
        ..wire::Call::default()
    };
    let digest = journal.digest(&mut call);
    let Known::New(mut claim) = journal.claim(SERVER, &id(1), digest, 0, Purpose::Begin) else {
        panic!("known");
    };
    begun(&mut claim).await.unwrap();
    claim.end(&outcome(0));
    journal.close().await;
    let bytes = bench.bytes();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|at| at == text);
    assert!(holds(b"account `ada`"));
    assert!(!holds(b"correct horse"));
}

#[tokio::test]
async fn where_another_file_is_in_its_place_nothing_more_is_written() {
    let bench = Bench::new();
    some_calls(&bench).await;
    let mut disk = disk::open(&bench.state()).unwrap().disk.unwrap();
    disk.let_go();
    disk.go_on(None).unwrap();
    assert!(!disk.is_broken());
    // As where it was replaced, and that failed afterwards.
    disk.let_go();
    let bytes = bench.bytes();
    let starts = starts(&bytes);
    bench.put(&bytes[..starts[starts.len() / 2]]);
    disk.go_on(None).unwrap();
    assert!(disk.is_broken());
}

#[tokio::test]
async fn an_outcome_that_cannot_be_read_now_is_no_outcome() {
    let bench = Bench::new();
    let whole = some_calls(&bench).await;
    let journal = bench.open();
    let unseen = || {
        let found = journal.finished(SERVER, &[id(1).into()]);
        found.first().map(|call| call.unseen)
    };
    assert_eq!(unseen(), Some(false));
    bench.put(&vec![0; whole.len()]);
    assert_eq!(unseen(), Some(true));
    bench.put(&whole);
    assert_eq!(unseen(), Some(false));
}
