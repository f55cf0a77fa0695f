//! How a gateway comes by its first key, against a real process over real TCP.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER};
use portcullis_common::handshake::Mode;
use portcullis_common::id::KeyKind;
use support::Site;
use support::server::{Server, code, master_key, token};
use tonic::Code;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_leads_to_the_first_key_and_is_gone_once_that_is_proved() {
    let (site, token) = (Site::listening(), token());
    let printed = site.done("enroll", &token.to_text());
    for part in [
        &*token.gateway_id().to_string(),
        "next: `portcullis-gateway run`",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    let gateway = site.run();
    let mut server = Server::of(&token);

    let enrolling = server.dial(gateway.address).await.unwrap();
    assert_eq!(enrolling.key_id(), token.key_id());
    assert_eq!(enrolling.session.info().mode, Mode::Secure);
    let nonce = enrolling.nonce().await.unwrap();
    assert_eq!(nonce.len(), 32);
    assert_eq!(enrolling.nonce().await.unwrap(), nonce);
    assert_eq!(code(enrolling.call().await), Code::FailedPrecondition);
    let first = master_key(KeyKind::Tdes);
    enrolling.install(&first).await.unwrap();
    let shown = site.done("key show", "");
    let pending = format!("pending      {}", first.id);
    let used = format!("token        {}", token.key_id());
    assert!(shown.contains(&pending) && shown.contains(&used), "{shown}");

    server.keys.insert(0, first.clone());
    let live = server.dial(gateway.address).await.unwrap();
    assert_eq!(live.key_id(), first.id);
    live.ping().await.unwrap();
    live.call().await.unwrap();
    assert_eq!(code(live.nonce().await), Code::FailedPrecondition);
    enrolling.until_ended().await;
    let shown = site.done("key show", "");
    let active = format!("active       {}", first.id);
    assert!(shown.contains(&active), "{shown}");
    let others = shown.contains("token") || shown.contains("pending");
    assert!(!others, "{shown}");

    server.keys.remove(0);
    let again = server.dial(gateway.address).await;
    assert!(again.is_err(), "the token is spent");

    let status = site.done("status --output json", "");
    let log = gateway.kill();
    let everything = [printed, shown, status, log].concat();
    for secret in [token.key().expose(), first.key.expose(), &nonce] {
        shows_no(secret, &everything);
    }
    assert!(!everything.contains(&*token.to_text()));
}

/// However it is spelled, the secret is not in this text.
fn shows_no(secret: &[u8], text: &str) {
    let text = text.to_ascii_lowercase();
    for spelling in [
        HEXLOWER.encode(secret),
        BASE32_NOPAD.encode(secret),
        BASE64.encode(secret),
        format!("{secret:?}"),
    ] {
        let shown = text.contains(&spelling.to_ascii_lowercase());
        assert!(!shown, "a secret was shown");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_at_any_point_of_enrolment_keeps_nonce_and_keys() {
    let (site, token) = (Site::listening(), token());
    site.done("enroll", &token.to_text());
    let mut server = Server::of(&token);
    let gateway = site.run();
    let nonce = {
        let link = server.dial(gateway.address).await.unwrap();
        link.nonce().await.unwrap()
    };
    gateway.kill();

    let gateway = site.run();
    let first = master_key(KeyKind::Aes256);
    let link = server.dial(gateway.address).await.unwrap();
    assert_eq!(link.nonce().await.unwrap(), nonce);
    link.install(&first).await.unwrap();
    gateway.kill();

    let gateway = site.run();
    server.keys.insert(0, first.clone());
    let link = server.dial(gateway.address).await.unwrap();
    assert_eq!(link.key_id(), first.id);
    gateway.kill();

    let gateway = site.run();
    let link = server.dial(gateway.address).await.unwrap();
    assert_eq!(link.key_id(), first.id);
    link.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_that_does_not_fit_changes_nothing() {
    let (site, token) = (Site::listening(), token());
    site.done("enroll", &token.to_text());
    let gateway = site.run();
    let server = Server::of(&token);
    let link = server.dial(gateway.address).await.unwrap();
    let new = master_key(KeyKind::Tdes);
    let before = site.done("key show", "");

    let good = link.install_request(&new);
    let mut later = good.clone();
    later.version = 2;
    let mut other_id = good.clone();
    other_id.new_key_id = master_key(KeyKind::Tdes).id.to_bytes().to_vec();
    let mut no_id = good.clone();
    no_id.new_key_id = vec![9; 17];
    let mut other_replaced = good.clone();
    other_replaced.replaced_key_id = new.id.to_bytes().to_vec();
    let mut damaged = good.clone();
    damaged.wrapped_master_key[3] ^= 1;
    let mut empty = good;
    empty.wrapped_master_key.clear();
    for (request, expected) in [
        (later, Code::Unimplemented),
        (other_id, Code::InvalidArgument),
        (no_id, Code::InvalidArgument),
        (other_replaced, Code::FailedPrecondition),
        (damaged, Code::InvalidArgument),
        (empty, Code::InvalidArgument),
    ] {
        assert_eq!(code(link.control().install(request).await), expected);
    }
    assert_eq!(site.done("key show", ""), before);
    link.install(&new).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairing_delivers_the_first_key_once() {
    let site = Site::listening();
    let printed = site.done("pair --for 10m", "");
    assert!(printed.contains("pairing is open until"), "{printed}");
    let gateway = site.run();
    let mut server = Server::pairing();
    let delivered = server.pairing.clone().unwrap();

    let link = server.dial(gateway.address).await.unwrap();
    assert_eq!(link.session.info().mode, Mode::Default);
    link.ping().await.unwrap();
    assert!(
        Server::pairing().dial(gateway.address).await.is_err(),
        "only the first may"
    );
    let held = site.refused("pair --for 10m", "");
    assert!(held.contains("never goes back to default mode"), "{held}");

    server.pairing = None;
    server.keys = vec![delivered.clone()];
    let link = server.dial(gateway.address).await.unwrap();
    assert_eq!(link.session.info().mode, Mode::Secure);
    assert_eq!(link.key_id(), delivered.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_closes_pairing() {
    let site = Site::listening();
    site.done("pair --for 10m", "");
    let gateway = site.run();
    // Somebody who cannot complete the handshake: the window is this run's from now on.
    let mut stranger = Server::of(&token());
    stranger.pairing = None;
    assert!(stranger.dial(gateway.address).await.is_err());
    gateway.kill();

    let mut gateway = site.run();
    assert!(Server::pairing().dial(gateway.address).await.is_err());
    gateway.wait_for("holds no key and pairing is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_a_key_takes_one_while_it_runs() {
    let site = Site::listening();
    site.done("key reset --yes", "");
    let mut gateway = site.run();
    gateway.wait_for("run `portcullis-gateway enroll`");
    let token = token();
    let server = Server::of(&token);
    assert!(server.dial(gateway.address).await.is_err());
    let printed = site.done("enroll", &token.to_text());
    assert!(printed.contains("the gateway is running"), "{printed}");
    server
        .dial(gateway.address)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
}

#[test]
fn a_wrong_or_damaged_token_is_refused_with_what_to_do() {
    let (site, token) = (Site::listening(), token());
    let text = token.to_text();
    for (input, expected) in [
        ("", "begins with PCT1-"),
        ("not a token", "begins with PCT1-"),
        (&text[..text.len() - 1], "copy the whole line again"),
        (&text.replace('A', "B"), "copy the whole line again"),
    ] {
        let refused = site.refused("enroll", input);
        assert!(refused.contains(expected), "{input}: {refused}");
    }
    assert!(!site.state_dir().exists(), "nothing half-done stays");
    let missing = site.refused("enroll --token-file /nonexistent/token", "");
    assert!(missing.contains("/nonexistent/token"), "{missing}");
    let file = site.path().join("token");
    std::fs::write(&file, text.as_bytes()).unwrap();
    let enroll = format!("enroll --token-file '{}'", file.display());
    let mode = |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    for open in [0o640, 0o604] {
        mode(open);
        let refused = site.refused(&enroll, "");
        assert!(refused.contains("chmod 0600"), "{refused}");
    }
    assert!(!site.state_dir().exists(), "nothing half-done stays");
    mode(0o600);
    site.done(&enroll, "");
}

#[test]
fn another_token_replaces_the_first_only_where_told_so() {
    let (site, first, second) = (Site::listening(), token(), token());
    site.done("enroll", &first.to_text());
    site.done("enroll", &first.to_text());
    let refused = site.refused("enroll", &second.to_text());
    assert!(refused.contains("--replace"), "{refused}");
    let shown = site.done("key show", "");
    assert!(shown.contains(&first.key_id().to_string()), "{shown}");
    site.done("enroll --replace", &second.to_text());
    let shown = site.done("key show", "");
    assert!(shown.contains(&second.key_id().to_string()), "{shown}");
}
