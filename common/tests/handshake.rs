//! The handshake over a stream: strangers, silence, and peers that do not fit.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{
    HandshakeError, Incompatibility, Misbehaviour, Preamble, Proved, ResponderConfig,
};
use portcullis_common::id::GatewayId;
use portcullis_common::rotation::Identity;
use portcullis_common::stream::{ChannelError, Stage, accept, connect, read_preamble};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use support::transport::{frames, seed};
use support::{Pair, take};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

const ALERT: (u8, Vec<u8>) = (0x30, Vec::new());

/// All that a side sent until it closed.
async fn sent(mut far: DuplexStream) -> Vec<u8> {
    let mut wire = Vec::new();
    far.read_to_end(&mut wire).await.unwrap();
    wire
}

#[tokio::test]
async fn a_gateway_that_dials_out_is_served_under_the_name_it_gave() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    let (mut a, b) = duplex(4_096);
    let preamble = pair.preamble();
    let server = async {
        let named = read_preamble(&mut a, &pair.limits).await.unwrap();
        assert_eq!(named, Preamble::Id(pair.gateway_id));
        connect(a, Some(&named), pair.initiator(), &pair.limits).await
    };
    let gateway = accept(b, Some(&preamble), pair.responder(), &pair.limits, take);
    let (server, gateway) = tokio::join!(server, gateway);
    let (server, gateway) = (server.unwrap(), gateway.unwrap());
    assert_eq!(server.session().info(), gateway.session().info());
}

#[tokio::test]
async fn a_master_key_travels_through_its_own_session_only() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    let (a, b) = duplex(4_096);
    let (server, gateway) = pair.join(a, b).await;
    let (a, b) = duplex(4_096);
    let (_, other) = pair.join(a, b).await;
    let wrapped = server.session().wrap_master_key(pair.key.id, &pair.key.key);
    let opened = gateway
        .session()
        .unwrap_master_key(pair.key.id, &wrapped)
        .unwrap();
    assert_eq!(opened.expose(), pair.key.key.expose());
    let error = other
        .session()
        .unwrap_master_key(pair.key.id, &wrapped)
        .unwrap_err();
    assert!(matches!(error, ChannelError::Install(_)), "{error}");
}

/// A peer that answers with the given number of messages and then falls silent costs the
/// handshake's time and no more.
#[tokio::test(start_paused = true)]
async fn silence_at_any_stage_times_out_and_says_where() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    for (relayed, server_waits, gateway_waits) in [
        (0, Stage::Message(2), Stage::Message(1)),
        (1, Stage::Message(2), Stage::Message(3)),
        (2, Stage::Message(4), Stage::Message(3)),
    ] {
        let (a, mut server_far) = duplex(4_096);
        let (b, mut gateway_far) = duplex(4_096);
        let relay = async {
            for number in 0..relayed {
                if number % 2 == 0 {
                    relay_frame(&mut server_far, &mut gateway_far).await;
                } else {
                    relay_frame(&mut gateway_far, &mut server_far).await;
                }
            }
        };
        let began = Instant::now();
        let (server, gateway, ()) = tokio::join!(pair.connect(a), pair.accept(b), relay);
        for (result, waits) in [(server.err(), server_waits), (gateway.err(), gateway_waits)] {
            match result {
                Some(ChannelError::Timeout(stage)) => assert_eq!(stage, waits),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(began.elapsed(), pair.limits.handshake);
        // Both were told.
        assert_eq!(frames(&sent(server_far).await).last(), Some(&ALERT));
        assert_eq!(frames(&sent(gateway_far).await).last(), Some(&ALERT));
    }
}

async fn relay_frame(from: &mut DuplexStream, to: &mut DuplexStream) {
    let mut frame = vec![0; 3];
    from.read_exact(&mut frame).await.unwrap();
    frame.resize(3 + usize::from(u16::from_be_bytes([frame[1], frame[2]])), 0);
    from.read_exact(&mut frame[3..]).await.unwrap();
    to.write_all(&frame).await.unwrap();
}

/// One byte every second never outlasts the deadline, which is one for all messages.
#[tokio::test(start_paused = true)]
async fn a_trickle_does_not_prolong_the_handshake() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    let (b, mut far) = duplex(4_096);
    let trickle = async {
        for byte in [0x11, 0x01].into_iter().chain(std::iter::repeat(0)) {
            if far.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let began = Instant::now();
    let (result, ()) = tokio::join!(pair.accept(b), trickle);
    assert!(matches!(
        result,
        Err(ChannelError::Timeout(Stage::Message(1)))
    ));
    assert!(began.elapsed() <= pair.limits.handshake + Duration::from_secs(2));
}

/// A transport that takes nothing stalls nobody for long either, not even with the alert.
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_times_out() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    let (a, far) = duplex(1);
    let began = Instant::now();
    let result = pair.connect(a).await;
    assert!(matches!(result, Err(ChannelError::Timeout(Stage::Send(1)))));
    assert!(began.elapsed() <= pair.limits.handshake + Duration::from_secs(1));
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_gets_no_alert() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    let (b, mut far) = duplex(4_096);
    far.write_all(&[0x11, 1]).await.unwrap();
    far.shutdown().await.unwrap();
    let result = pair.accept(b).await;
    assert!(matches!(
        result,
        Err(ChannelError::HungUp(Stage::Message(1)))
    ));
    assert!(sent(far).await.is_empty());
}

#[tokio::test]
async fn garbage_gets_an_error_and_one_alert_at_most() {
    let seed = seed();
    let rng = &mut StdRng::seed_from_u64(seed);
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    for _ in 0..300 {
        let mut garbage = vec![0; rng.random_range(0..3_000)];
        rng.fill_bytes(&mut garbage);
        // Often with a header that is right, so that the body is read too.
        if rng.random() && garbage.len() > 3 {
            let len = (garbage.len() - 3).min(2_048) as u16;
            garbage[0] = rng.random_range(0x10..0x15);
            garbage[1..3].copy_from_slice(&len.to_be_bytes());
        }
        for server in [true, false] {
            let (near, mut far) = duplex(1 << 16);
            far.write_all(&garbage).await.unwrap();
            far.shutdown().await.unwrap();
            let failed = if server {
                pair.connect(near).await.err()
            } else {
                pair.accept(near).await.err()
            };
            let failed = failed.expect("garbage is no handshake");
            let mut frames = frames(&sent(far).await);
            if server {
                assert_eq!(frames.remove(0).0, 0x11);
            }
            match failed {
                ChannelError::HungUp(_) => assert!(frames.is_empty()),
                ChannelError::Handshake(_) => assert_eq!(frames, [ALERT]),
                other => panic!("{other}"),
            }
        }
    }
}

#[tokio::test]
async fn other_protocols_are_told_apart_from_peers() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    for greeting in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let (mut near, mut far) = duplex(4_096);
        far.write_all(greeting).await.unwrap();
        let error = read_preamble(&mut near, &pair.limits).await.unwrap_err();
        let malformed = matches!(error, ChannelError::Handshake(HandshakeError::Malformed(_)));
        let tls = matches!(error, ChannelError::Tls);
        drop(near);
        let told = frames(&sent(far).await);
        if greeting[0] == 0x16 {
            // An alert of the channel would mean nothing to it.
            assert!(tls && told.is_empty(), "{error}");
        } else {
            assert!(malformed, "{error}");
            assert_eq!(told, [ALERT]);
        }
    }
}

/// The cause stays with the side that refused; the other learns that it was refused, and where to
/// look.
#[tokio::test]
async fn a_wrong_key_is_refused_with_one_opaque_alert() {
    let ours = Pair::new(Suite::TdesCtrHmacSha256);
    let mut impostor = Pair::new(Suite::TdesCtrHmacSha256);
    impostor.gateway_id = ours.gateway_id;
    impostor.key.id = ours.key.id;
    let (a, b) = duplex(4_096);
    let (server, gateway) = tokio::join!(ours.connect(a), impostor.accept(b));
    assert!(matches!(
        server,
        Err(ChannelError::Handshake(HandshakeError::Misbehaved(
            Misbehaviour::GatewayProof(_)
        )))
    ));
    let told = gateway.unwrap_err();
    assert!(matches!(
        told,
        ChannelError::Handshake(HandshakeError::Refused)
    ));
    assert!(told.to_string().contains("portcullis gateway show NAME"));
}

#[tokio::test]
async fn sides_that_do_not_fit_each_say_why_in_their_own_log() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    let no_suite = ResponderConfig {
        suites: vec![Suite::Aes256Gcm],
        ..pair.responder()
    };
    let no_key = ResponderConfig {
        identity: Identity::None,
        ..pair.responder()
    };
    let other_gateway = Pair::new(Suite::Aes256Gcm).responder();
    for (config, expected) in [
        (no_suite, "suite"),
        (no_key, "portcullis-gateway enroll"),
        (other_gateway, "portcullis gateway show NAME"),
    ] {
        let (a, b) = duplex(4_096);
        let gateway = accept(b, None, config, &pair.limits, take);
        let (server, gateway) = tokio::join!(pair.connect(a), gateway);
        let error = gateway.unwrap_err();
        assert!(matches!(
            error,
            ChannelError::Handshake(HandshakeError::Incompatible(
                Incompatibility::NoCommonSuite
                    | Incompatibility::NoCommonKey { .. }
                    | Incompatibility::NoKey
            ))
        ));
        assert!(error.to_string().contains(expected), "{error}");
        let told = server.unwrap_err();
        assert!(matches!(
            told,
            ChannelError::Handshake(HandshakeError::Refused)
        ));
    }
}

/// What cannot be stored is not confirmed: message 4 is never sent.
#[tokio::test]
async fn a_gateway_that_cannot_store_refuses_the_session() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    let (a, b) = duplex(4_096);
    let on_proved = async |proved: Proved| {
        assert_eq!(proved.gateway_id, pair.gateway_id);
        Err("the key store is full".to_owned())
    };
    let gateway = accept(b, None, pair.responder(), &pair.limits, on_proved);
    let (server, gateway) = tokio::join!(pair.connect(a), gateway);
    match gateway {
        Err(ChannelError::NotTaken(why)) => assert_eq!(why, "the key store is full"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        server,
        Err(ChannelError::Handshake(HandshakeError::Refused))
    ));
}

/// The store runs within the handshake's one deadline.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_times_out() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    let (a, b) = duplex(4_096);
    let on_proved = |_| std::future::pending();
    let gateway = accept(b, None, pair.responder(), &pair.limits, on_proved);
    let (server, gateway) = tokio::join!(pair.connect(a), gateway);
    assert!(matches!(gateway, Err(ChannelError::Timeout(Stage::Store))));
    assert!(server.is_err());
}

#[tokio::test]
async fn a_name_and_an_id_make_a_preamble_and_nothing_else_does() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    for preamble in [
        Preamble::Id(GatewayId::from_array([7; 16])),
        Preamble::Name("höst-1".to_owned()),
    ] {
        let (mut near, mut far) = duplex(4_096);
        far.write_all(&preamble.encode().unwrap()).await.unwrap();
        assert_eq!(
            read_preamble(&mut near, &pair.limits).await.unwrap(),
            preamble
        );
    }
    // A body beyond the cap is refused by its header, unread.
    let (mut near, mut far) = duplex(4_096);
    far.write_all(&[0x10, 0xff, 0xff]).await.unwrap();
    assert!(matches!(
        read_preamble(&mut near, &pair.limits).await,
        Err(ChannelError::Handshake(HandshakeError::Malformed(_)))
    ));
}
