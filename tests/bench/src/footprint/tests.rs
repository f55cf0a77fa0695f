//! It is what `bench -- footprint` runs, without waiting and without its figures.

use std::time::Duration;

use super::{Plan, run_all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_of_every_configuration_are_measured_while_their_links_stand() {
    let plan = Plan {
        rounds: 1,
        settle: Duration::ZERO,
    };
    let summary = run_all(&plan, |_| {}).await.unwrap();
    let [unix, all] = &summary.rows[..] else {
        panic!("{summary:?}");
    };
    for row in [unix, all] {
        assert!(row.resident.median >= row.anonymous.median, "{row:?}");
        assert!(row.anonymous.median > 0.5, "{row:?}");
    }
    let program = summary.program;
    assert!(program.stripped > 1.0 && program.stripped < program.built);
    assert_eq!(summary.markdown().matches("MiB").count(), 2);
}
