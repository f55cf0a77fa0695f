//! How a gateway gets its key, and who does not.

use portcullis_proto::admin::v1::GatewayState;
use portcullis_tests::harness::{Dial, Gateway, Server, Site};

use crate::{Pair, dial};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_enrols_a_gateway_that_the_server_dials() {
    let pair = Pair::dialled_in("").await.unwrap();
    let gateway = pair.admin.gateway("host1").await.unwrap();
    assert_eq!(gateway.state(), GatewayState::Enrolled);
    assert_eq!(gateway.mode, "secure");
    assert_eq!(gateway.suite, "TDES-CTR-HMAC-SHA256");
    assert!(gateway.session_key_id.starts_with("3des-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_enrols_a_gateway_that_dials_the_server() {
    let pair = Pair::dialled_out("").await.unwrap();
    let gateway = pair.admin.gateway("host1").await.unwrap();
    assert_eq!(gateway.state(), GatewayState::Enrolled);
    assert_eq!(gateway.mode, "secure");
    assert_eq!(gateway.address, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn pairing_gives_a_gateway_its_key_once() {
    for out in [false, true] {
        let site = Site::new().unwrap();
        let mut server = Server::new(&site, "").unwrap();
        let admin = server.serve().await.unwrap();
        let dial = dial(&server, out).unwrap();
        let mut gateway = Gateway::new(&site, "host1", dial, "").unwrap();
        admin
            .add_gateway("host1", &dial.address(), true)
            .await
            .unwrap();
        let pair = ["pair", "--for", "10m"];
        gateway.cli(&pair, None).unwrap().ok().unwrap();
        gateway.start().unwrap();
        let paired = admin.synchronized("host1").await.unwrap();
        assert_eq!(paired.pairing_until_unix_ms, 0, "pairing is still open");

        // Every session from now on is secure, and pairing cannot be opened over a key.
        gateway.kill().unwrap();
        let refused = gateway.cli(&pair, None).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("never goes back to default mode"),
            "{refused:?}"
        );
        gateway.start().unwrap();
        let again = admin.synchronized("host1").await.unwrap();
        assert_eq!(again.mode, "secure");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pairing_needs_both_sides_to_open_it() {
    let site = Site::new().unwrap();
    let mut server = Server::new(&site, "").unwrap();
    let admin = server.serve().await.unwrap();

    // Open on the gateway, not allowed on the server.
    let dial = Dial::inward().unwrap();
    let mut gateway = Gateway::new(&site, "host1", dial, "").unwrap();
    admin
        .add_gateway("host1", &dial.address(), false)
        .await
        .unwrap();
    gateway
        .cli(&["pair", "--for", "10m"], None)
        .unwrap()
        .ok()
        .unwrap();
    gateway.start().unwrap();
    let refused = admin
        .gateway_becomes("host1", "refused", |g| !g.last_error.is_empty())
        .await
        .unwrap();
    assert_eq!(refused.state(), GatewayState::Registered, "{refused:?}");
    assert!(!holds_a_key(&gateway));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_token_is_refused_and_changes_nothing() {
    let site = Site::new().unwrap();
    let mut server = Server::new(&site, "").unwrap();
    let admin = server.serve().await.unwrap();
    let gateway = Gateway::new(&site, "host1", Dial::inward().unwrap(), "").unwrap();
    let token = admin
        .add_gateway("host1", &gateway.dial.address(), false)
        .await
        .unwrap();
    // Another letter in the middle; letters stand for the same in either case.
    let (head, tail) = token.split_at(token.len() / 2);
    let other = if tail.starts_with(['A', 'a']) {
        'B'
    } else {
        'A'
    };
    let damaged = format!("{head}{other}{}", &tail[1..]);
    for wrong in ["", "not a token", &token[..token.len() / 2], &damaged] {
        let refused = gateway.cli(&["enroll"], Some(wrong)).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}: {refused:?}");
        assert!(refused.stderr.contains("token"), "{refused:?}");
        assert!(
            wrong.is_empty() || !refused.stderr.contains(wrong),
            "{refused:?}"
        );
        assert!(
            !gateway.state.join("keys").exists(),
            "{wrong:?} left a key store"
        );
    }
    gateway.enroll(&token).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_enrols_nobody_and_a_new_one_does() {
    let site = Site::new().unwrap();
    let mut server = Server::new(&site, "[keys]\ntoken_lifetime = \"100ms\"\n").unwrap();
    let admin = server.serve().await.unwrap();
    let dial = Dial::inward().unwrap();
    let mut gateway = Gateway::new(&site, "host1", dial, "").unwrap();
    let token = admin
        .add_gateway("host1", &dial.address(), false)
        .await
        .unwrap();
    let expires = admin.gateway("host1").await.unwrap().token_expires_unix_ms;
    admin
        .gateway_becomes("host1", "past its token", |_| now_ms() > expires)
        .await
        .unwrap();
    gateway.enroll(&token).unwrap();
    gateway.start().unwrap();
    let refused = admin
        .gateway_becomes("host1", "told why", |g| g.last_error.contains("token"))
        .await
        .unwrap();
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
        let site = Site::new().unwrap();
        let mut server = Server::new(&site, "").unwrap();
        let admin = server.serve().await.unwrap();
        let dial = dial(&server, out).unwrap();
        let mut first = Gateway::new(&site, "first", dial, "").unwrap();
        let token = admin
            .add_gateway("host1", &dial.address(), false)
            .await
            .unwrap();
        first.enroll(&token).unwrap();
        first.start().unwrap();
        admin.synchronized("host1").await.unwrap();
        if !out {
            // The thief answers at the address of the one that is enrolled.
            first.kill().unwrap();
        }

        let mut second = Gateway::new(&site, "second", dial, "").unwrap();
        second.enroll(&token).unwrap();
        second.start().unwrap();
        second
            .process
            .as_ref()
            .unwrap()
            .wait_for_line("no session")
            .unwrap();
        assert!(!holds_a_key(&second), "out {out}: {}", second.log());

        // Who enrolled first goes on.
        second.kill().unwrap();
        if !out {
            first.start().unwrap();
        }
        admin.synchronized("host1").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_another_gateway_is_refused() {
    let site = Site::new().unwrap();
    let mut server = Server::new(&site, "").unwrap();
    let admin = server.serve().await.unwrap();
    let mut gateway = Gateway::new(&site, "host2", Dial::inward().unwrap(), "").unwrap();
    let elsewhere = Dial::inward().unwrap().address();
    let token = admin.add_gateway("host1", &elsewhere, false).await.unwrap();
    admin
        .add_gateway("host2", &gateway.dial.address(), false)
        .await
        .unwrap();
    gateway.enroll(&token).unwrap();
    gateway.start().unwrap();
    let refused = admin
        .gateway_becomes("host2", "refused", |g| !g.last_error.is_empty())
        .await
        .unwrap();
    assert_eq!(refused.state(), GatewayState::Registered, "{refused:?}");
    assert!(!holds_a_key(&gateway));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_gateways_key_gets_no_session() {
    let pair = Pair::dialled_in("").await.unwrap();
    let mut stranger = {
        let data = pair.site.folder("stranger").unwrap();
        let stranger = Server::configured(&pair.site, "stranger", &data, "").unwrap();
        stranger.cli(&["init"]).unwrap().ok().unwrap();
        stranger
    };
    let admin = stranger.serve().await.unwrap();
    admin
        .add_gateway("host1", &pair.gateway.dial.address(), true)
        .await
        .unwrap();
    let refused = admin
        .gateway_becomes("host1", "refused", |g| !g.last_error.is_empty())
        .await
        .unwrap();
    assert!(!refused.connected, "{refused:?}");
    // A stranger's attempts do not touch the link that is there.
    assert!(pair.admin.gateway("host1").await.unwrap().connected);
}

/// Does the key store hold a master key, as opposed to a token?
fn holds_a_key(gateway: &Gateway) -> bool {
    let shown = gateway.cli(&["key", "show"], None).unwrap();
    shown.stdout.contains("active") || shown.stdout.contains("pending")
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
