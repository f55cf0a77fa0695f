//! All that a site does, with kills on both sides.

use portcullis_tests::harness::{Scripts, eventually};

use crate::Central;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn gateways_calls_and_rotations_outlive_kills_of_server_and_database() {
    let mut central = Central::start().await;
    let (_in, inward) = central.gateway("in", false).await;
    let (_out, outward) = central.gateway("out", true).await;
    let both = [("in", &inward), ("out", &outward)];
    let call_both = async |central: &Central, id: &str| {
        for (name, scripts) in both {
            let id = format!("{name}-{id}");
            let outcome = central.admin.call(name, Scripts::call("record", &id));
            let outcome = outcome.await;
            assert!(outcome.result.is_some(), "{outcome:?}");
            assert_eq!(scripts.executed().get(&id), Some(&1), "{id}");
        }
    };
    call_both(&central, "first").await;
    let report = central.admin.rotate(30_000).await;
    assert_eq!((report.synchronized, report.total), (2, 2), "{report:?}");
    call_both(&central, "rotated").await;

    central.server.kill();
    central.server.serve().await;
    for (name, _) in both {
        central.admin.synchronized(name).await;
    }
    call_both(&central, "server-killed").await;

    central.postgres.kill();
    central.postgres.restart().await;
    for (name, scripts) in both {
        // Whoever asks while connections are being made anew is told that the database is away.
        eventually("calls to go on", async || {
            let call = Scripts::call("record", &format!("{name}-database-killed"));
            central.admin.try_call(name, call).await.ok()
        })
        .await;
        let id = format!("{name}-database-killed");
        assert_eq!(scripts.executed().get(&id), Some(&1));
    }
    let report = central.admin.rotate(30_000).await;
    assert_eq!((report.synchronized, report.total), (2, 2), "{report:?}");
    call_both(&central, "last").await;
    central.audit_is_sound();
}
