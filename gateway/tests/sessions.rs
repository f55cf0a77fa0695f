//! Live sessions of a real process: replaced, ended, rotated, besieged.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

#[path = "sessions/grants.rs"]
mod grants;
mod support;

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_common::calls::{Begin, Frame, Kind};
use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{CallPlace, Preamble, Way};
use portcullis_common::id::{GatewayId, KeyKind, ServerId};
use portcullis_common::rotation::HeldKey;
use portcullis_proto::gateway::v1::{
    Call, CallFrame, CallFrames, RedialRequest, Secret, SetPassword, call, outcome,
};
use prost::Message as _;
use support::raw::RawCalls;
use support::server::{Link, Server, code, master_key, token};
use support::{Gateway, PATIENCE, Site};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

/// A gateway that holds a proved master key, and the server that gave it.
async fn enrolled(site: &Site) -> (Gateway, Server) {
    let token = token();
    site.done("enroll", &token.to_text());
    let gateway = site.run();
    let mut server = Server::of(&token);
    let first = master_key(KeyKind::Tdes);
    let link = server.dial(gateway.address).await.unwrap();
    link.install(&first).await.unwrap();
    server.keys = vec![first];
    server.dial(gateway.address).await.unwrap();
    (gateway, server)
}

fn shown_active(site: &Site) -> String {
    let shown = site.done("key show", "");
    let active = shown.lines().find_map(|line| line.strip_prefix("active"));
    active.unwrap().trim().to_owned()
}

/// Asks for the status until it shows `text`: the running gateway writes it down a moment after the
/// fact.
async fn until_status(site: &Site, text: &str) {
    let began = Instant::now();
    loop {
        let status = site.done("status", "");
        if status.contains(text) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "no {text:?} in {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_taken_only_in_the_form_that_was_sealed_for_its_session_and_place() {
    let site = Site::listening();
    let (gateway, server) = enrolled(&site).await;
    let link = server.dial(gateway.address).await.unwrap();
    let other = Server {
        id: ServerId::random(&mut rand::rng()),
        ..server
    };
    let other = other.dial(gateway.address).await.unwrap();
    let call = |password| Call {
        call_id: "one".to_owned(),
        connector: "nowhere".to_owned(),
        verb: Some(call::Verb::SetPassword(SetPassword {
            object: None,
            password: Some(password),
        })),
        ..Call::default()
    };
    let place = CallPlace {
        way: Way::Call,
        call_id: "one",
        number: 0,
    };
    let value = b"correct horse";
    // It gets as far as to be found wanting in something else.
    let outcome = link.execute(call(link.seal(place, value))).await.unwrap();
    assert!(
        matches!(outcome.result, Some(outcome::Result::Failed(_))),
        "{outcome:?}"
    );

    let mut both = link.seal(place, value);
    both.value = value.to_vec();
    let mut flipped = link.seal(place, value);
    flipped.sealed[16] ^= 1;
    let elsewhere = |way, call_id, number| CallPlace {
        way,
        call_id,
        number,
    };
    for refused in [
        Secret::plain(value.to_vec()),
        Secret::default(),
        both,
        flipped,
        other.seal(place, value),
        link.seal(elsewhere(Way::Answer, "one", 0), value),
        link.seal(elsewhere(Way::Call, "two", 0), value),
        link.seal(elsewhere(Way::Call, "one", 1), value),
    ] {
        assert_eq!(
            code(link.execute(call(refused)).await),
            Code::InvalidArgument
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_one_stream_of_calls() {
    let site = Site::listening();
    let (gateway, server) = enrolled(&site).await;
    let link = server.dial(gateway.address).await.unwrap();
    assert_eq!(code(link.open_another().await), Code::FailedPrecondition);
    link.call().await.unwrap();
}

/// Each after a call that came in part: it is told that nothing of it was begun, the stream says
/// why it ends, the log too, and the session makes room for one that is of use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_calls_that_breaks_the_rules_ends_with_a_reason_and_its_session_with_it() {
    let site = Site::listening();
    let (mut gateway, server) = enrolled(&site).await;
    let reused = CallFrames {
        frames: vec![open_of_100(7), open_of_100(7)],
    };
    for (what, message) in [
        ("bytes that are no message", vec![0, 0, 0, 0, 2, 0xFF, 0xFF]),
        ("a field of another form", vec![0, 0, 0, 0, 2, 0x08, 0x01]),
        ("a byte more than a message may have", vec![0, 0, 4, 0, 1]),
        ("4 GiB less a byte", vec![0, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("marked as compressed", vec![1, 0, 0, 0, 0]),
        ("marked as nobody knows what", vec![9, 0, 0, 0, 0]),
        ("a number used again", in_grpc(&reused)),
    ] {
        let link = server.dial(gateway.address).await.unwrap();
        let mut calls = RawCalls::open(&link).await;
        calls.send(in_grpc(&CallFrames {
            frames: vec![open_of_100(2), open_of_100(5)],
        }));
        calls.send(message);
        let (frames, end) = calls.until_ended().await;
        assert_eq!(code(end), Code::InvalidArgument, "{what}");
        let frames = frames.into_iter().map(Frame::try_from);
        let frames: Vec<_> = frames.map(Result::unwrap).collect();
        for number in [2, 5] {
            let refused =
                |frame: &Frame| frame.call == number && matches!(frame.kind, Kind::Refused(_));
            assert!(frames.iter().any(refused), "{what}: {frames:?}");
        }
        gateway.wait_for("the server broke the rules of the stream of calls");
        link.until_ended().await;
        let next = server.dial(gateway.address).await.unwrap();
        next.call().await.unwrap();
    }
}

/// Whoever is gone in the middle of a message broke no rule that the log has to speak of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_in_the_middle_of_a_call_is_no_broken_rule() {
    let site = Site::listening();
    let (mut gateway, server) = enrolled(&site).await;
    let link = server.dial(gateway.address).await.unwrap();
    let calls = RawCalls::open(&link).await;
    calls.send(vec![0, 0, 0, 0, 9, 1]);
    link.session.close();
    gateway.wait_for("session ended");
    let log = gateway.kill();
    assert!(!log.contains("broke the rules"), "{log}");
}

fn open_of_100(call: u64) -> CallFrame {
    let begin = Begin {
        len: 100,
        data: vec![0; 40].into(),
    };
    CallFrame::from(Frame {
        call,
        kind: Kind::Open(begin, None),
    })
}

/// In the form in which gRPC sends it.
fn in_grpc(frames: &CallFrames) -> Vec<u8> {
    let encoded = frames.encode_to_vec();
    let mut message = vec![0];
    message.extend_from_slice(&u32::try_from(encoded.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&encoded);
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_goes_through_the_live_session_and_is_proved_by_the_next() {
    let site = Site::listening();
    let (gateway, mut server) = enrolled(&site).await;
    let link = server.dial(gateway.address).await.unwrap();
    for kind in [KeyKind::Aes256, KeyKind::Tdes] {
        let (old, new) = (server.keys[0].clone(), master_key(kind));
        let link = server.dial(gateway.address).await.unwrap();
        link.install(&new).await.unwrap();
        link.call().await.unwrap();
        assert_eq!(shown_active(&site), old.id.to_string());

        server.keys = vec![new.clone(), old.clone()];
        let next = server.dial(gateway.address).await.unwrap();
        assert_eq!(next.key_id(), new.id);
        assert_eq!(shown_active(&site), new.id.to_string());
        // The replaced session carries what the server sent before it knew.
        link.call().await.unwrap();

        server.keys = vec![old];
        assert!(
            server.dial(gateway.address).await.is_err(),
            "the old key is erased"
        );
        server.keys = vec![new];
    }
    link.until_ended().await;
}

/// Somebody who stole the former key posed as a server with it, and keeps his session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_under_a_former_key_does_not_outlive_it() {
    let site = Site::listening();
    let (gateway, mut server) = enrolled(&site).await;
    let mut thief = server.clone();
    thief.id = ServerId::random(&mut rand::rng());
    let stolen = thief.dial(gateway.address).await.unwrap();
    stolen.call().await.unwrap();

    let new = master_key(KeyKind::Tdes);
    let link = server.dial(gateway.address).await.unwrap();
    link.install(&new).await.unwrap();
    server.keys.insert(0, new);
    let live = server.dial(gateway.address).await.unwrap();
    stolen.until_ended().await;
    live.call().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superseded_install_is_dropped() {
    let site = Site::listening();
    let (gateway, mut server) = enrolled(&site).await;
    let link = server.dial(gateway.address).await.unwrap();
    let (first, second) = (master_key(KeyKind::Tdes), master_key(KeyKind::Tdes));
    link.install(&first).await.unwrap();
    link.install(&second).await.unwrap();
    let active = std::mem::replace(&mut server.keys, vec![first]);
    assert!(server.dial(gateway.address).await.is_err());
    server.keys = vec![second.clone(), active[0].clone()];
    assert_eq!(
        server.dial(gateway.address).await.unwrap().key_id(),
        second.id
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_two_servers_live_side_by_side() {
    let site = Site::listening();
    let (gateway, one) = enrolled(&site).await;
    let mut two = one.clone();
    two.id = ServerId::random(&mut rand::rng());
    let (older, other) = (
        one.dial(gateway.address).await.unwrap(),
        two.dial(gateway.address).await.unwrap(),
    );
    let newer = one.dial(gateway.address).await.unwrap();
    older.until_ended().await;
    other.ping().await.unwrap();
    newer.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_and_a_new_token_end_live_sessions_within_seconds() {
    for verb in ["reset", "enroll"] {
        let site = Site::listening();
        let (gateway, server) = enrolled(&site).await;
        let link = server.dial(gateway.address).await.unwrap();
        link.ping().await.unwrap();
        let began = Instant::now();
        match verb {
            "reset" => site.done("key reset --yes", ""),
            _ => site.done("enroll --replace", &token().to_text()),
        };
        link.until_ended().await;
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{:?}",
            began.elapsed()
        );
        assert!(server.dial(gateway.address).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_key_or_for_another_gateway_is_refused_and_harms_nobody() {
    let site = Site::listening();
    let (mut gateway, server) = enrolled(&site).await;
    let live = server.dial(gateway.address).await.unwrap();

    let mut other_key = server.clone();
    other_key.keys = vec![HeldKey {
        id: server.keys[0].id,
        key: master_key(KeyKind::Tdes).key,
    }];
    assert!(other_key.dial(gateway.address).await.is_err());
    let mut other_id = server.clone();
    other_id.keys = vec![master_key(KeyKind::Tdes)];
    assert!(other_id.dial(gateway.address).await.is_err());
    gateway.wait_for("the server accepts none of the keys held here");
    let mut other_gateway = server.clone();
    other_gateway.gateway_id = GatewayId::random(&mut rand::rng());
    assert!(other_gateway.dial(gateway.address).await.is_err());
    until_status(&site, "last error").await;

    live.ping().await.unwrap();
    server
        .dial(gateway.address)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suite_that_the_gateways_policy_forbids_is_not_used() {
    let site = Site::listening_with("[channel]\nsuites = [\"AES-256-GCM\"]\n");
    let (mut gateway, mut server) = enrolled(&site).await;
    let link = server.dial(gateway.address).await.unwrap();
    assert_eq!(link.session.info().suite, Suite::Aes256Gcm);
    server.suites = vec![Suite::TdesCtrHmacSha256];
    assert!(server.dial(gateway.address).await.is_err());
    gateway.wait_for("compare `[channel] suites` in both configurations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_send_garbage_or_nothing_are_dropped_and_the_gateway_serves_on() {
    let site = Site::listening_with("[channel]\nhandshake_timeout = \"1s\"\n");
    let (gateway, server) = enrolled(&site).await;
    let live = server.dial(gateway.address).await.unwrap();

    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"[..],
        &[0xFF; 4096],
        &[0x11, 0xFF, 0xFF],
        &[0x13, 0x00, 0x00],
        &[0x20, 0x00, 0x10],
    ] {
        let mut peer = TcpStream::connect(gateway.address).await.unwrap();
        // It may hang up before everything was sent.
        let _ = peer.write_all(garbage).await;
        expect_end(&mut peer).await;
    }
    let mut late = Vec::new();
    for _ in 0..3 {
        let silent = TcpStream::connect(gateway.address).await.unwrap();
        let mut slow = TcpStream::connect(gateway.address).await.unwrap();
        slow.write_all(&[0x11]).await.unwrap();
        late.extend([silent, slow]);
    }
    let began = Instant::now();
    for mut peer in late {
        let answer = expect_end(&mut peer).await;
        assert_eq!(answer, [0x30, 0, 0], "its time is up, and it is told");
    }
    assert!(began.elapsed() < Duration::from_secs(5));

    live.ping().await.unwrap();
    server
        .dial(gateway.address)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
}

/// Reads until the gateway hangs up. It says nothing but an alert.
async fn expect_end(peer: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is an end too: it left bytes unread.
    let _ = tokio::time::timeout(PATIENCE, peer.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(
        answer.is_empty() || answer == [0x30, 0, 0],
        "it answered {answer:?}"
    );
    answer
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_cost_little_and_cut_no_session() {
    let site = Site::listening();
    let (gateway, server) = enrolled(&site).await;
    let live = server.dial(gateway.address).await.unwrap();
    live.ping().await.unwrap();
    let before = memory(gateway.pid());

    let mut besiegers = Vec::new();
    for _ in 0..1000 {
        besiegers.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    // Whoever comes last finds a place: the gateway has taken in all the others by then.
    let late = server.dial(gateway.address).await.unwrap();
    late.ping().await.unwrap();
    live.ping().await.unwrap();
    match fs::read_dir(format!("/proc/{}/fd", gateway.pid())) {
        Ok(files) => {
            let open = files.count();
            assert!(open < 64, "{open} files are open");
        }
        // The program lets nobody of its own user look into it.
        Err(error)
            if error.kind() == std::io::ErrorKind::PermissionDenied
                && !rustix::process::geteuid().is_root() =>
        {
            eprintln!("skipped: only root can count the files that the gateway holds open");
        }
        Err(error) => panic!("{error}"),
    }
    let grown = memory(gateway.pid()).saturating_sub(before);
    assert!(grown < 16 * 1024, "its memory grew by {grown} KiB");
    drop(besiegers);
    let log = gateway.kill();
    let lines = log
        .lines()
        .filter(|line| line.contains("no session"))
        .count();
    assert!(lines <= 20, "{lines} lines of log");
}

#[cfg(target_os = "linux")]
fn memory(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_sessions_in_order_and_leaves_the_port_free() {
    let site = Site::listening();
    let (gateway, server) = enrolled(&site).await;
    let link = server.dial(gateway.address).await.unwrap();
    link.ping().await.unwrap();
    let address = gateway.address;
    let began = Instant::now();
    let log = gateway.stop();
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "no call was under way"
    );
    assert!(log.contains("stopped"), "{log}");
    link.until_ended().await;
    TcpListener::bind(address).await.unwrap();
    let status = site.done("status", "");
    assert!(status.contains("not running"), "{status}");
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The next connection of the gateway, which names itself by its id.
async fn next_link(server: &Server, listener: &TcpListener) -> Link {
    let next = tokio::time::timeout(PATIENCE, server.await_gateway(listener));
    let (preamble, link) = next.await.unwrap();
    assert_eq!(preamble, Preamble::Id(server.gateway_id));
    link.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_dials_out_enrols_rotates_and_comes_back() {
    let (listener, address) = listen().await;
    let (site, token) = (Site::dialling(address, None), token());
    site.done("key reset --yes", "");
    let mut gateway = site.run();
    gateway.wait_for("run `portcullis-gateway enroll`");
    let printed = site.done("enroll", &token.to_text());
    assert!(printed.contains("it connects to"), "{printed}");

    let mut server = Server::of(&token);
    let mut link = next_link(&server, &listener).await;
    assert_eq!(link.nonce().await.unwrap().len(), 32);
    for kind in [KeyKind::Tdes, KeyKind::Aes256] {
        let new = master_key(kind);
        link.install(&new).await.unwrap();
        server.keys.insert(0, new.clone());
        // The old session is still open: the gateway dials by itself to prove the new key.
        let next = next_link(&server, &listener).await;
        assert_eq!(next.key_id(), new.id);
        link.ping().await.unwrap();
        link = next;
    }
    drop(link);
    let link = next_link(&server, &listener).await;
    link.call().await.unwrap();
    assert_eq!(shown_active(&site), server.keys[0].id.to_string());

    // So it does where the server asks for it, each time, and serves both sessions.
    let mut links = vec![link];
    for _ in 0..2 {
        let mut control = links[links.len() - 1].control();
        control.redial(RedialRequest {}).await.unwrap();
        links.push(next_link(&server, &listener).await);
        for link in &links {
            link.ping().await.unwrap();
        }
    }
    links[0].call().await.unwrap();
    links[2].call().await.unwrap();
    // A session that has a successor asks for none.
    links[0].control().redial(RedialRequest {}).await.unwrap();
    let another = tokio::time::timeout(Duration::from_millis(200), listener.accept());
    assert!(another.await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_was_dialled_is_not_asked_to_dial() {
    let site = Site::listening();
    let (gateway, server) = enrolled(&site).await;
    let link = server.dial(gateway.address).await.unwrap();
    let refused = link.control().redial(RedialRequest {}).await;
    assert_eq!(code(refused), Code::FailedPrecondition);
    link.call().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairing_over_dial_out_goes_by_the_gateways_name() {
    let (listener, address) = listen().await;
    let site = Site::dialling(address, Some("host1"));
    site.done("pair --for 10m", "");
    let _gateway = site.run();
    let server = Server::pairing();
    let (preamble, link) = server.await_gateway(&listener).await;
    assert_eq!(preamble, Preamble::Name("host1".to_owned()));
    link.unwrap().ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairing_over_dial_out_without_a_name_says_what_is_missing() {
    let (_listener, address) = listen().await;
    let site = Site::dialling(address, Some("host1"));
    site.done("pair --for 10m", "");
    // The name went out of the configuration after that.
    let config = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), config.replace("name = \"host1\"\n", "")).unwrap();
    let mut gateway = site.run();
    gateway.wait_for("needs dial_out.name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_dialled_again() {
    let (listener, address) = listen().await;
    drop(listener);
    let (site, token) = (Site::dialling(address, None), token());
    site.done("enroll", &token.to_text());
    let mut gateway = site.run();
    gateway.wait_for("cannot reach the server");
    let listener = TcpListener::bind(address).await.unwrap();
    next_link(&Server::of(&token), &listener)
        .await
        .ping()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_without_tls_is_told_with_what_the_server_may_demand() {
    let (listener, address) = listen().await;
    let (site, token) = (Site::dialling(address, None), token());
    site.done("enroll", &token.to_text());
    let mut gateway = site.run();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut named = [0; 8];
    stream.read_exact(&mut named).await.unwrap();
    portcullis_common::stream::refuse(&mut stream).await;
    let told = gateway.wait_for("the peer refused the handshake");
    assert!(
        told.contains("which has no [tls] section: give it one"),
        "{told}"
    );
}
