//! Gateways through the API: tokens, registrations, revoking and rotation.

use super::*;

#[tokio::test]
async fn a_gateway_is_added_once_and_its_token_is_for_it_alone() {
    let api = Api::start().await;
    let added = api.add_gateway("web1").await;
    let (gateway, token) = (added.gateway.unwrap(), added.token.unwrap());
    assert_eq!(gateway.state(), proto::GatewayState::Registered);
    let read: portcullis_common::rotation::EnrolmentToken = token.token.parse().unwrap();
    assert_eq!(read.gateway_id().to_string(), gateway.gateway_id);
    assert_eq!(gateway.token_expires_unix_ms, token.expires_unix_ms);

    let again = api.gateways().add(dial_out("web1")).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    assert!(again.message().contains("web1"), "{again}");
    // The failed attempt left the first registration as it was.
    let shown = show(&api, "web1").await.unwrap();
    assert_eq!(shown.gateway_id, gateway.gateway_id);
    for bad in ["", "-web", "web/1", &"w".repeat(65)] {
        let error = api.gateways().add(dial_out(bad)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{bad}");
    }
}

async fn token(api: &Api, name: &str) -> Result<proto::NewTokenResponse, Status> {
    let request = proto::NewTokenRequest {
        name: name.to_owned(),
        allow_pairing: false,
    };
    let answer = api.gateways().new_token(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn each_new_token_is_a_new_registration() {
    let api = Api::start().await;
    let first = api.add_gateway("web1").await.gateway.unwrap();
    let second = token(&api, "web1").await.unwrap().gateway.unwrap();
    assert_ne!(first.gateway_id, second.gateway_id);
    let error = token(&api, "web2").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn evicted_may_enrol_again_and_revoked_may_not_until_restored() {
    let api = Api::start().await;
    let first = api.add_gateway("web1").await.gateway.unwrap();
    let name = || "web1".to_owned();
    let restore = || proto::RestoreGatewayRequest { name: name() };

    let evicted = api
        .gateways()
        .evict(proto::EvictGatewayRequest { name: name() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(evicted.state(), proto::GatewayState::Evicted);
    assert_eq!(evicted.token_expires_unix_ms, 0);
    assert!(token(&api, "web1").await.is_ok());
    let error = api.gateways().restore(restore()).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);

    let revoked = api
        .gateways()
        .revoke(proto::RevokeGatewayRequest { name: name() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(revoked.state(), proto::GatewayState::Revoked);
    let error = token(&api, "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("gateway restore web1"), "{error}");
    // An eviction would let it enrol again by the back door.
    let error = api
        .gateways()
        .evict(proto::EvictGatewayRequest { name: name() })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(
        show(&api, "web1").await.unwrap().state(),
        proto::GatewayState::Revoked
    );

    let restored = api
        .gateways()
        .restore(restore())
        .await
        .unwrap()
        .into_inner();
    let restored = restored.gateway.unwrap();
    assert_eq!(restored.state(), proto::GatewayState::Registered);
    assert_ne!(restored.gateway_id, first.gateway_id);
}

#[tokio::test]
async fn a_gateway_that_holds_a_good_key_gets_no_token() {
    let api = Api::start().await;
    let enrolled = api.add_gateway("web1").await.gateway.unwrap();
    let gateways = api.services.repository.gateways();
    gateways
        .update("web1", |registration, keys| {
            registration.last_proved = keys.first().map(|key| key.id);
            registration.token = None;
        })
        .await
        .unwrap();
    let error = token(&api, "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("gateway evict web1"), "{error}");
    let shown = show(&api, "web1").await.unwrap();
    assert_eq!(shown.gateway_id, enrolled.gateway_id);
    assert_eq!(shown.state(), proto::GatewayState::Enrolled);
    assert!(shown.synchronized);

    // Once that key is compromised, a token is what it needs.
    let rotated = KeysClient::new(api.channel.clone())
        .rotate_gateway(proto::RotateGatewayRequest {
            compromised: true,
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rotated.results[0].state(), proto::SyncState::MustEnrol);
    assert!(token(&api, "web1").await.is_ok());
}

#[tokio::test]
async fn a_rotation_against_another_key_changes_nothing() {
    let api = Api::start().await;
    let mut keys = KeysClient::new(api.channel.clone());
    let before = keys
        .list(proto::ListKeysRequest {})
        .await
        .unwrap()
        .into_inner();
    for (expected, code) in [
        ("3des-00000000000000000000000000000001", Code::Aborted),
        ("nonsense", Code::InvalidArgument),
    ] {
        let error = keys
            .rotate_gateway(proto::RotateGatewayRequest {
                expected_current: expected.to_owned(),
                ..Default::default()
            })
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    let after = keys
        .list(proto::ListKeysRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(before, after);
}
