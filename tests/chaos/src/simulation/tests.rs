//! The simulation finds the faults that are built in for it to find.

use super::{Fault, run};
use crate::seeds::{Options, assert_none};

/// Enough for a test on every change; the fault runs take thousands.
const SEEDS: u64 = 200;

#[test]
fn every_promise_holds_in_every_world() {
    let report = run(0..SEEDS, Options::default());
    assert_none(&report.failures);
    let tried = report.counts;
    for (what, count) in [
        ("proofs", tried.proofs),
        ("installs", tried.installs),
        ("pairings", tried.pairings),
        ("rotations", tried.rotations),
        ("compromised keys", tried.compromised),
        ("keys rolled back", tried.rolled_back),
        ("crashes", tried.crashes),
        ("cuts", tried.cuts),
        ("thefts", tried.thefts),
        ("rows edited", tried.edits),
        ("intrusions", tried.intrusions),
        ("calls", tried.calls),
        ("renewed enrolments", tried.enrolled_again),
    ] {
        assert!(
            count > SEEDS / 10,
            "too few {what} to mean anything: {count}"
        );
    }
}

#[test]
fn a_seed_always_does_the_same() {
    let first = run(7..8, Options::default());
    let again = run(7..8, Options::default());
    assert_eq!(first.counts, again.counts);
}

#[test]
fn every_broken_rule_is_noticed() {
    for fault in Fault::ALL {
        let report = run(0..2_000, Options::breaking(fault));
        assert!(!report.failures.is_empty(), "{fault:?} went unnoticed");
    }
}

/// Rows that are taken as they stand break each of these promises in some world.
#[test]
fn without_macs_an_editor_is_handed_keys() {
    let options = Options {
        fault: Some(Fault::NoMac),
        stop_at_first: false,
    };
    let report = run(0..400, options);
    for promise in [
        "paired anew",
        "goes to one who",
        "no server takes",
        "fell back",
    ] {
        let broken = report
            .failures
            .iter()
            .any(|failure| failure.promise.contains(promise));
        assert!(broken, "nobody noticed: {promise}");
    }
}
