use super::{Fault, Options, run};

/// Enough for a test on every change; the fault runs take thousands.
const SEEDS: u64 = 24;

#[test]
fn every_promise_holds_in_every_world() {
    let report = run(0..SEEDS, Options::default()).unwrap();
    if let Some(failure) = report.failures.first() {
        panic!(
            "seed {}: {}\n{}",
            failure.seed,
            failure.promise,
            failure.trace.join("\n")
        );
    }
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
        let options = Options {
            fault: Some(fault),
            stop_at_first: true,
        };
        let report = run(0..300, options).unwrap();
        assert!(!report.failures.is_empty(), "{fault:?} went unnoticed");
    }
}
