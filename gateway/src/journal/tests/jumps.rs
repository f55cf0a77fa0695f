//! What becomes of calls where the gateway's clock is put ahead or back.

use std::time::Duration;

use super::bench::*;
use crate::journal::{Known, Purpose};
use crate::model::{FailureKind, Outcome};

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;
const JUMPS: [i64; 4] = [HOUR, YEAR, -HOUR, -YEAR];

#[tokio::test]
async fn a_call_is_carried_out_once_wherever_the_clock_is_put_meanwhile() {
    for jump in JUMPS {
        let bench = Bench::new();
        let journal = bench.open();
        journal.set_acknowledging(SERVER, true);
        call(&journal, 0).await;
        drop(begin(&journal, 1).await);
        let under_way = begin(&journal, 3).await;
        journal.put_clock(jump);
        for purpose in [Purpose::Begin, Purpose::Look] {
            assert_eq!(word(&claim(&journal, 0, purpose)), ended(0), "{jump}");
            let known = claim(&journal, 1, purpose);
            assert!(matches!(known, Known::Unseen(..)), "{jump}: {known:?}");
            let known = claim(&journal, 3, purpose);
            assert!(matches!(known, Known::UnderWay(_)), "{jump}: {known:?}");
        }
        under_way.end(&outcome(3));
        call(&journal, 2).await;
        for number in [0, 2, 3] {
            assert_eq!(
                word(&claim(&journal, number, Purpose::Begin)),
                ended(number)
            );
        }
        let finished = journal.finished(SERVER, &[id(0).into(), id(3).into()]);
        assert_eq!(finished.len(), 2, "{jump}");
        // Back again, and once more from the disk.
        journal.put_clock(0);
        call(&journal, 6).await;
        journal.close().await;
        let journal = bench.open();
        assert_eq!(journal.info().fault, None, "{jump}");
        for number in [0, 2, 3, 6] {
            assert_eq!(word(&claim(&journal, number, Purpose::Look)), ended(number));
        }
    }
}

#[tokio::test]
async fn no_entry_goes_before_its_time_because_the_clock_was_put_ahead() {
    let mut bench = Bench::new();
    bench.settings.kept = Duration::from_secs(30 * 24 * 60 * 60);
    for (number, jump) in [0, 3, 6, 9].into_iter().zip(JUMPS) {
        let journal = bench.open();
        journal.set_acknowledging(SERVER, true);
        call(&journal, number).await;
        journal.acknowledge(SERVER, vec![id(number).into()]);
        journal.put_clock(jump);
        journal.compact().await;
        journal.put_clock(0);
        let known = word(&claim(&journal, number, Purpose::Begin));
        assert_eq!(known, ended(number), "{jump}");
        journal.close().await;
    }
}

/// It cannot tell then what it has forgotten, and does not say that it knows.
#[tokio::test]
async fn while_the_clock_stands_before_what_was_forgotten_calls_wait_and_then_go_on() {
    let mut bench = Bench::new();
    bench.settings.kept = Duration::ZERO;
    let journal = bench.open();
    call(&journal, 0).await;
    journal.compact().await;
    journal.put_clock(-YEAR);
    let refused = claim(&journal, 1, Purpose::Begin);
    assert_eq!(kind(refused), FailureKind::Unavailable);
    let looked = claim(&journal, 1, Purpose::Look);
    assert!(
        matches!(&looked, Known::Ended(Outcome::Indeterminate(why)) if why.look_again),
        "{looked:?}"
    );
    journal.put_clock(HOUR);
    call(&journal, 1).await;
}
