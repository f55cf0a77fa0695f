//! It is what `bench -- tls` runs, shorter.

use std::time::Duration;

use portcullis_common::crypto::suites::Suite;

use super::{Channel, Measure, Plan, Report, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_figure_is_taken_with_tls_and_without() {
    let plan = Plan {
        rounds: 1,
        slice: Duration::from_millis(40),
    };
    let report = run(&plan, |_| {}).await.unwrap();
    for measure in Measure::ALL {
        for suite in Suite::ALL {
            let multiple = report.multiple(measure, suite).unwrap().median;
            assert!(multiple.is_normal() && multiple > 0.0, "{measure:?}");
        }
    }
    // A certificate more at each end is not had for nothing, whatever the machine does besides.
    for suite in Suite::ALL {
        let multiple = report.multiple(Measure::LinkProcessor, suite).unwrap();
        assert!(multiple.median > 1.0, "{multiple:?}");
    }
}

#[test]
fn a_multiple_is_taken_within_its_round() {
    let mut report = Report::default();
    for (without, with) in [(100.0, 50.0), (10.0, 5.0), (60.0, 30.0)] {
        for (tls, value) in [(false, without), (true, with)] {
            let suite = Suite::Aes256Gcm;
            report.add(Measure::Calls, Channel { suite, tls }, value);
        }
    }
    let table = report.markdown();
    assert!(
        table.contains("| 60 (10 to 100) | 0.50 (0.50 to 0.50) |"),
        "{table}"
    );
}
