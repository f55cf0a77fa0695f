//! It is what `bench -- bulk` runs, smaller.

use super::{Plan, Target, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and OpenLDAP: tests/run directories"]
async fn an_import_is_faster_than_single_calls_and_leaves_every_account_once() {
    let plan = Plan {
        accounts: 200,
        singles: 40,
        rounds: 1,
        in_flight: 32,
        connections: 8,
        ledger: true,
    };
    let report = run(&plan, &Target::ALL, |_| {}).await;
    for row in &report.rows {
        // Of a directory, which makes one change after the other, that is not certain.
        let faster = row.target != "sql" || row.of_single.median > 1.0;
        assert!(faster, "{row:?}");
    }
}
