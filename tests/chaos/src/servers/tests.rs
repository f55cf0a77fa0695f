//! The simulation finds the faults that are built in for it to find.

use super::{Fault, run};
use crate::seeds::{Options, assert_none};

/// Enough for a test on every change; the fault runs take thousands.
const SEEDS: u64 = 60;

#[test]
fn every_promise_holds_in_every_world() {
    let report = run(0..SEEDS, Options::default());
    assert_none(&report.failures);
    let tried = report.counts;
    for (what, count) in [
        ("calls begun", tried.begun),
        ("calls too late", tried.late),
        ("calls forwarded", tried.forwarded),
        ("claims taken over", tried.taken_over),
        ("calls found done", tried.found_done),
        ("instances ended", tried.ended),
        ("answers lost", tried.answers_lost),
        ("changes found made", tried.found_made),
        ("links handed over", tried.handed_over),
        ("servers drained", tried.drained),
        ("sessions superseded", tried.superseded),
        ("withdrawals", tried.withdrawals),
        ("kills", tried.kills),
        ("stops", tried.stops),
        ("cuts", tried.cuts),
        ("failovers", tried.failovers),
        ("tails lost", tried.tails_lost),
        ("losses accepted", tried.losses_accepted),
        ("batches", tried.batches),
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
        // Where worlds that show it are rare, those before the first such are left out.
        let first = match fault {
            Fault::OwnClock => 1_160,
            Fault::ReadThenRow => 180,
            _ => 0,
        };
        let report = run(first..first + 1_000, Options::breaking(fault));
        assert!(!report.failures.is_empty(), "{fault:?} went unnoticed");
    }
}
