//! The fault runs of keys find the faults that are built in for them to find.

use super::{Engine, Fault, run};
use crate::seeds::{Options, assert_none};

/// Enough for a test on every change; the fault runs take thousands.
const SEEDS: u64 = 24;

#[test]
fn every_promise_holds_in_every_world() {
    let report = run(&Engine::Sqlite, 0..SEEDS, Options::default()).unwrap();
    assert_none(&report.failures);
    let tried = report.counts;
    for (what, count) in [
        ("operations done", tried.done),
        ("crashes", tried.crashes),
        ("proofs", tried.proofs),
        ("installs", tried.installs),
        ("rotations", tried.rotations),
        ("values opened", tried.opened),
        ("searches", tried.searches),
    ] {
        assert!(count > SEEDS, "too few {what} to mean anything: {count}");
    }
}

#[test]
fn every_broken_rule_is_noticed() {
    for fault in Fault::ALL {
        let report = run(&Engine::Sqlite, 0..300, Options::breaking(fault)).unwrap();
        assert!(!report.failures.is_empty(), "{fault:?} went unnoticed");
    }
}
