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
