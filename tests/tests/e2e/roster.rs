//! Evict and revoke are different things.

use portcullis_proto::admin::v1::{
    EvictGatewayRequest, GatewayState, NewTokenRequest, RestoreGatewayRequest, RevokeGatewayRequest,
};
use portcullis_proto::gateway::v1::Outcome;
use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_tests::harness::Scripts;

use crate::Pair;

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_gateway_may_enrol_again() {
    let pair = Pair::dialled_in("").await;
    let mut gateways = pair.admin.gateways();
    let name = "host1".to_owned();
    let request = EvictGatewayRequest { name: name.clone() };
    let evicted = gateways.evict(request).await.unwrap().into_inner();
    assert_eq!(evicted.state(), GatewayState::Evicted);
    pair.admin
        .gateway_becomes("host1", "disconnected", |g| !g.connected)
        .await;
    let before = evicted.gateway_id;

    let request = NewTokenRequest {
        name,
        ..NewTokenRequest::default()
    };
    let again = gateways.new_token(request).await.unwrap().into_inner();
    assert_ne!(again.gateway.unwrap().gateway_id, before);
    pair.gateway
        .cli_given("enroll --replace", &again.token.unwrap().token)
        .ok();
    pair.admin.synchronized("host1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_gateway_gets_nothing_until_it_is_restored() {
    for out in [false, true] {
        let mut pair = Pair::new(out, "").await;
        let mut gateways = pair.admin.gateways();
        let name = "host1".to_owned();
        let request = RevokeGatewayRequest { name: name.clone() };
        let revoked = gateways.revoke(request).await.unwrap().into_inner();
        assert_eq!(revoked.state(), GatewayState::Revoked);
        pair.admin
            .gateway_becomes("host1", "disconnected", |g| !g.connected)
            .await;

        // Neither calls nor a restart get through, nor does a new token.
        let refused = pair
            .admin
            .try_call("journal", Scripts::call("record", "revoked"))
            .await;
        let is_done = |outcome: &Outcome| matches!(outcome.result, Some(Came::Done(_)));
        assert!(!refused.as_ref().is_ok_and(is_done), "{refused:?}");
        assert_eq!(pair.scripts.executed().get("revoked"), None);
        let request = NewTokenRequest {
            name: name.clone(),
            ..NewTokenRequest::default()
        };
        let refused = gateways.new_token(request).await.unwrap_err();
        assert!(refused.message().contains("restore"), "{refused:?}");
        pair.gateway.kill();
        pair.gateway.start();
        if out {
            pair.gateway.wait_for_line("no session");
        }
        assert!(!pair.admin.gateway("host1").await.connected);

        let request = RestoreGatewayRequest { name };
        let restored = gateways.restore(request).await.unwrap().into_inner();
        assert_ne!(restored.gateway.unwrap().gateway_id, revoked.gateway_id);
        pair.gateway
            .cli_given("enroll --replace", &restored.token.unwrap().token)
            .ok();
        pair.admin.synchronized("host1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_once() {
    let pair = Pair::dialled_in("").await;
    pair.portcullis("gateway add host1 --dial-out")
        .refused()
        .saying("host1");
    pair.portcullis("gateway show nobody")
        .refused()
        .saying("gateway list");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_for_many_come_by_one_command() {
    let pair = Pair::dialled_in("").await;
    for number in 0..20 {
        let name = format!("new{number:02}");
        pair.admin.add_gateway(&name, "", false).await;
    }
    let out = pair.site.path().join("tokens");
    let many: Vec<_> = (0..20).map(|number| format!("new{number:02}")).collect();
    let many = many.join(" ");
    let line = format!(
        "--output json gateway token new00 {many} host1 nobody --out {}",
        out.display()
    );
    // What one cannot have keeps the others from nothing, and is told in the order of the names.
    let told = pair.portcullis(&line);
    assert_eq!(told.status.code(), Some(1), "{told}");
    let said: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let made = said["tokens"].as_array().unwrap();
    let names: Vec<_> = made
        .iter()
        .map(|it| it["gateway"].as_str().unwrap())
        .collect();
    assert_eq!(names.join(" "), many);
    for name in ["new00", "new19"] {
        let token = std::fs::read_to_string(out.join(format!("{name}.token"))).unwrap();
        assert!(token.starts_with("PCT1-"), "{name}");
    }
    let failed = said["failed"].as_array().unwrap();
    let failed: Vec<_> = failed.iter().map(|it| &it["gateway"]).collect();
    assert_eq!(failed, ["host1", "nobody"], "{told}");
    assert!(!out.join("nobody.token").exists());
    assert!(pair.admin.gateway("host1").await.connected);
}
