//! It is what `bench -- reconcile` runs, smaller and without its figures. Tests that need a server
//! are ignored unless `tests/run directories` asks for them by the name of their module.

use super::{Kind, Plan, run};

async fn all_differences_of(kind: Kind) {
    let plan = Plan {
        kind,
        accounts: 3000,
        page_size: None,
        rounds: 1,
    };
    // It compares what was found and what the bare client has read with what there is.
    let summary = run(&plan, |_| {}).await.unwrap();
    let found = summary.found;
    assert_eq!((found.changed, found.missing, found.unknown), (1, 1, 1));
    for process in [summary.server, summary.gateway, summary.command] {
        assert!(process.peak_mib > 1.0, "{summary:?}");
    }
}

mod postgresql {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs PostgreSQL: tests/run directories"]
    async fn a_reconciliation_finds_all_differences_beside_a_bare_client() {
        all_differences_of(Kind::Postgres).await;
    }
}

mod openldap {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs OpenLDAP: tests/run directories"]
    async fn a_reconciliation_finds_all_differences_beside_a_bare_client() {
        all_differences_of(Kind::Slapd).await;
    }
}
