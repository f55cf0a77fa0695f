//! How a gateway gets its key, and who does not.

use portcullis_proto::admin::v1::GatewayState;
use portcullis_tests::harness::{Dial, Gateway, Server, damaged};

use crate::{Pair, dial, registered, serving};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_enrols_a_gateway_that_the_server_dials() {
    let pair = Pair::dialled_in("").await;
    let gateway = pair.admin.gateway("host1").await;
    assert_eq!(gateway.state(), GatewayState::Enrolled);
    assert_eq!(gateway.mode, "secure");
    assert_eq!(gateway.suite, "TDES-CTR-HMAC-SHA256");
    assert!(gateway.session_key_id.starts_with("3des-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_enrols_a_gateway_that_dials_the_server() {
    let pair = Pair::dialled_out("").await;
    let gateway = pair.admin.gateway("host1").await;
    assert_eq!(gateway.state(), GatewayState::Enrolled);
    assert_eq!(gateway.mode, "secure");
    assert_eq!(gateway.address, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn pairing_gives_a_gateway_its_key_once() {
    for out in [false, true] {
        let (site, server, admin) = serving("").await;
        let dial = dial(&server, out);
        let mut gateway = Gateway::new(&site, "host1", dial, "");
        admin.add_gateway("host1", &dial.address(), true).await;
        gateway.cli("pair --for 10m").ok();
        gateway.start();
        let paired = admin.synchronized("host1").await;
        assert_eq!(paired.pairing_until_unix_ms, 0, "pairing is still open");

        // Every session from now on is secure, and pairing cannot be opened over a key.
        gateway.kill();
        gateway
            .cli("pair --for 10m")
            .refused()
            .saying("never goes back to default mode");
        gateway.start();
        let again = admin.synchronized("host1").await;
        assert_eq!(again.mode, "secure");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pairing_needs_both_sides_to_open_it() {
    let (site, _server, admin) = serving("").await;

    // Open on the gateway, not allowed on the server.
    let (mut gateway, _) = registered(&site, &admin, Dial::inward(), "").await;
    gateway.cli("pair --for 10m").ok();
    gateway.start();
    let refused = admin
        .gateway_becomes("host1", "refused", |g| !g.last_error.is_empty())
        .await;
    assert_eq!(refused.state(), GatewayState::Registered, "{refused:?}");
    assert!(!holds_a_key(&gateway));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_token_is_refused_and_changes_nothing() {
    let (site, _server, admin) = serving("").await;
    let (gateway, token) = registered(&site, &admin, Dial::inward(), "").await;
    let damaged = damaged(&token);
    for wrong in ["", "not a token", &token[..token.len() / 2], &damaged] {
        let refused = gateway.cli_given("enroll", wrong).refused().saying("token");
        assert!(
            wrong.is_empty() || !refused.stderr.contains(wrong),
            "{refused:?}"
        );
        assert!(
            !gateway.state.join("keys").exists(),
            "{wrong:?} left a key store"
        );
    }
    gateway.enroll(&token);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_enrols_nobody_and_a_new_one_does() {
    let (site, _server, admin) = serving("[keys]\ntoken_lifetime = \"100ms\"\n").await;
    let (mut gateway, token) = registered(&site, &admin, Dial::inward(), "").await;
    let expires = admin.gateway("host1").await.token_expires_unix_ms;
    admin
        .gateway_becomes("host1", "past its token", |_| now_ms() > expires)
        .await;
    gateway.enroll(&token);
    gateway.start();
    let refused = admin
        .gateway_becomes("host1", "told why", |g| g.last_error.contains("token"))
        .await;
    assert!(!refused.connected);
    assert_eq!(refused.state(), GatewayState::Registered);
    assert!(
        refused.last_error.contains("portcullis gateway token"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_enrols_no_second_gateway() {
    for out in [false, true] {
        let (site, server, admin) = serving("").await;
        let dial = dial(&server, out);
        let mut first = Gateway::new(&site, "first", dial, "");
        let token = admin.add_gateway("host1", &dial.address(), false).await;
        first.enroll(&token);
        first.start();
        admin.synchronized("host1").await;
        if !out {
            // The thief answers at the address of the one that is enrolled.
            first.kill();
        }

        let mut second = Gateway::new(&site, "second", dial, "");
        second.enroll(&token);
        second.start();
        second.wait_for_line("session ended");
        assert!(!holds_a_key(&second), "out {out}: {}", second.log());

        // Who enrolled first goes on.
        second.kill();
        if !out {
            first.start();
        }
        admin.synchronized("host1").await;
        // It is said that the token was in two hands.
        admin
            .gateway_becomes("host1", "with an alarm", |g| !g.alarms.is_empty())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_another_gateway_is_refused() {
    let (site, _server, admin) = serving("").await;
    let mut gateway = Gateway::new(&site, "host2", Dial::inward(), "");
    let elsewhere = Dial::inward().address();
    let token = admin.add_gateway("host1", &elsewhere, false).await;
    admin
        .add_gateway("host2", &gateway.dial.address(), false)
        .await;
    gateway.enroll(&token);
    gateway.start();
    let refused = admin
        .gateway_becomes("host2", "refused", |g| !g.last_error.is_empty())
        .await;
    assert_eq!(refused.state(), GatewayState::Registered, "{refused:?}");
    assert!(!holds_a_key(&gateway));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_gateways_key_gets_no_session() {
    let pair = Pair::dialled_in("").await;
    let data = pair.site.folder("stranger");
    let mut stranger = Server::configured(&pair.site, "stranger", &data, "");
    stranger.cli("init").ok();
    let admin = stranger.serve().await;
    admin
        .add_gateway("host1", &pair.gateway.dial.address(), true)
        .await;
    let refused = admin
        .gateway_becomes("host1", "refused", |g| !g.last_error.is_empty())
        .await;
    assert!(!refused.connected, "{refused:?}");
    // A stranger's attempts do not touch the link that is there.
    assert!(pair.admin.gateway("host1").await.connected);
}

/// Does the key store hold a master key, as opposed to a token?
fn holds_a_key(gateway: &Gateway) -> bool {
    let shown = gateway.cli("key show");
    shown.stdout.contains("active") || shown.stdout.contains("pending")
}

#[allow(
    clippy::disallowed_methods,
    reason = "compared with what the programs print"
)]
fn now_ms() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
