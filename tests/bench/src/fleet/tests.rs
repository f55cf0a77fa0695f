//! It is what `bench -- fleet` runs, smaller and without its figures.

use std::time::Duration;

use super::{Engine, Plan, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_comes_back_after_the_server_and_rotates_while_calls_go_through_it() {
    let plan = Plan {
        gateways: 60,
        callers: 4,
        settle: Duration::ZERO,
        engine: Engine::Sqlite,
    };
    let summary = run(&plan, |_| {}).await;
    assert!(summary.broken.is_empty(), "{summary:?}");
}
