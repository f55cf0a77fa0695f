//! Upgrades in waves: what is refused, and that a wave which does not come back stops them.

use portcullis_proto::admin::v1::started_task::Kind;
use tokio_stream::StreamExt as _;

use super::*;

const OWN: &str = env!("CARGO_PKG_VERSION");

fn wave(name: &str, gateways: &[&str], rest: bool) -> proto::UpgradeWave {
    proto::UpgradeWave {
        name: name.to_owned(),
        gateways: gateways.iter().map(|one| (*one).to_owned()).collect(),
        groups: Vec::new(),
        rest,
    }
}

fn upgrade(waves: Vec<proto::UpgradeWave>, version: &str) -> proto::UpgradeRequest {
    proto::UpgradeRequest {
        version: version.to_owned(),
        waves,
        within_ms: 10,
        settle_ms: 0,
        dry_run: false,
    }
}

#[tokio::test]
async fn waves_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let group = proto::UpgradeWave {
        groups: vec!["none".to_owned()],
        ..wave("a", &[], false)
    };
    for (waves, version, told) in [
        (vec![], OWN, "1 to 1000 waves"),
        (vec![wave("a", &["none"], false)], OWN, "no gateway `none`"),
        (
            vec![wave("a", &["web1", "web1"], false)],
            OWN,
            "in a wave already",
        ),
        (
            vec![wave("a", &["web1"], false), wave("a", &["db1"], false)],
            OWN,
            "is there twice",
        ),
        (vec![wave("a", &[], false)], OWN, "has no gateway"),
        (
            vec![wave("a", &["web1"], true), wave("b", &[], true)],
            OWN,
            "waves `a` and `b` both take whoever is in none yet",
        ),
        (vec![group], OWN, "no gateway is in group `none`"),
        (
            vec![wave("a", &["web1"], false)],
            "9.0.0",
            "their major versions differ",
        ),
        (vec![wave("a", &["web1"], false)], "soon", "no version"),
    ] {
        let refused = server.ask(&owner(), upgrade(waves, version)).await;
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(told), "{said}");
    }
    let none = server.ask(&owner(), proto::StopUpgradeRequest {}).await;
    assert!(
        none.unwrap_err()
            .to_string()
            .contains("no upgrade was started")
    );
}

#[tokio::test]
async fn a_wave_that_does_not_come_back_stops_the_upgrade_and_is_released_again() {
    let server = Server::start().await;
    let waves = vec![
        wave("first", &["web1"], false),
        wave("second", &["db1"], false),
    ];
    let started = server.ask(&owner(), upgrade(waves, OWN)).await.unwrap();
    let Some(Kind::Task(task)) = started.kind else {
        panic!("{started:?}")
    };
    for _ in 0..2 {
        let tasks = &server.services.tasks;
        let mut states = Box::pin(tasks.watch(task.id).await.unwrap());
        while states.next().await.is_some() {}
        let status = server.ask(&owner(), proto::UpgradeStatusRequest {}).await;
        let status = status.unwrap();
        let told = status.task.unwrap();
        assert_eq!(told.state(), proto::TaskState::Failed);
        assert!(
            told.reason.contains("web1 (it has no link)"),
            "{}",
            told.reason
        );
        assert!(!told.reason.contains("db1"), "{}", told.reason);
        let waves = status.waves.iter();
        let waves: Vec<_> = waves.map(|wave| (&*wave.state, wave.released)).collect();
        assert_eq!(waves, [("failed", false), ("waiting", false)]);
        let entries = server.services.repository.audit_entries();
        let entries = entries.scan(0, 10_000).await.unwrap();
        assert!(entries.iter().any(|entry| entry.action == "Fleet/Wave"));
        server
            .ask(&owner(), proto::ResumeUpgradeRequest {})
            .await
            .unwrap();
    }
    server.services.tasks.stop().await;
}

#[tokio::test]
async fn what_was_never_connected_fits_no_version() {
    let server = Server::start().await;
    let check = proto::UpgradeCheckRequest {
        version: OWN.to_owned(),
    };
    let check = server.ask(&owner(), check).await.unwrap();
    assert!(check.server_fits, "{check:?}");
    assert_eq!(check.gateways.len(), 2);
    assert!(check.gateways.iter().all(|one| !one.fits), "{check:?}");
}
