//! A new gateway key reaches everybody, those away included.

use portcullis_proto::admin::v1::{KeyKind, RotateGatewayRequest, SyncState};

use crate::Pair;

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_reaches_a_connected_gateway_and_calls_go_on() {
    for out in [false, true] {
        let pair = Pair::new(out, "").await;
        let before = pair.admin.gateway("host1").await.session_key_id;
        for round in 0..3 {
            let report = pair.admin.rotate(30_000).await;
            assert_eq!((report.synchronized, report.total), (1, 1), "{report:?}");
            let now = pair.admin.synchronized("host1").await;
            assert_ne!(now.session_key_id, before);
            assert_eq!(now.session_key_id, report.current_key_id);
            let id = format!("after-{round}");
            let outcome = pair.record(&id).await;
            assert!(outcome.result.is_some(), "{outcome:?}");
            assert_eq!(pair.scripts.executed().get(&id), Some(&1));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_away_catches_up_on_its_return() {
    for out in [false, true] {
        let mut pair = Pair::new(out, "").await;
        pair.gateway.kill();
        pair.admin
            .gateway_becomes("host1", "away", |g| !g.connected)
            .await;
        // Twice: the key that it holds is then neither the current one nor the one before.
        pair.admin.rotate(0).await;
        let report = pair.admin.rotate(1_000).await;
        assert_eq!((report.synchronized, report.total), (0, 1), "{report:?}");
        assert_eq!(report.results[0].state(), SyncState::Away, "{report:?}");

        pair.gateway.start();
        let back = pair.admin.synchronized("host1").await;
        assert_eq!(back.session_key_id, report.current_key_id);
        let shown = pair.gateway.cli("key show").stdout;
        assert!(shown.contains(&report.current_key_id), "{shown}");
        assert!(
            !shown.contains("pending"),
            "the old key is still there: {shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_survives_the_death_of_the_server() {
    let mut pair = Pair::dialled_in("").await;
    pair.gateway.kill();
    let current = pair.admin.rotate(0).await.current_key_id;
    pair.server.kill();
    pair.server.serve().await;
    pair.gateway.start();
    let back = pair.admin.synchronized("host1").await;
    assert_eq!(back.session_key_id, current);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_can_move_to_aes() {
    let pair = Pair::dialled_in("").await;
    let request = RotateGatewayRequest {
        kind: KeyKind::Aes256.into(),
        wait_ms: 30_000,
        ..RotateGatewayRequest::default()
    };
    let reports = pair.admin.keys().rotate_gateway(request).await;
    let mut reports = reports.unwrap().into_inner();
    while reports.message().await.unwrap().is_some() {}
    let now = pair.admin.synchronized("host1").await;
    assert!(now.session_key_id.starts_with("aes-"), "{now:?}");
    let outcome = pair.record("under-aes").await;
    assert_eq!(
        pair.scripts.executed().get("under-aes"),
        Some(&1),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_compromise_only_a_new_token_helps() {
    let pair = Pair::dialled_out("").await;
    let request = RotateGatewayRequest {
        compromised: true,
        wait_ms: 1_000,
        ..RotateGatewayRequest::default()
    };
    let reports = pair.admin.keys().rotate_gateway(request).await;
    let mut reports = reports.unwrap().into_inner();
    let mut last = None;
    while let Some(report) = reports.message().await.unwrap() {
        for result in &report.results {
            assert_eq!(result.state(), SyncState::MustEnrol, "{report:?}");
        }
        last = Some(report);
    }
    let last = last.unwrap();
    assert_eq!((last.must_enrol, last.total), (1, 1), "{last:?}");
    pair.admin
        .gateway_becomes("host1", "cut off", |g| {
            !g.connected && !g.last_error.is_empty()
        })
        .await;

    let answer = pair.ok("--output json gateway token host1");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let token = answer["token"]["token"]
        .as_str()
        .or(answer["token"].as_str());
    let token = token.unwrap_or_else(|| panic!("no token in {answer}"));
    let refused = pair.gateway.cli_given("enroll", token);
    refused.saying("--replace");
    pair.gateway.cli_given("enroll --replace", token).ok();
    let back = pair.admin.synchronized("host1").await;
    assert_eq!(back.session_key_id, last.current_key_id);
}
