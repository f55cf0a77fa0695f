//! Peers that nobody knows: they learn nothing, cost little, and disturb nobody.

use std::time::Duration;

use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_tests::harness::usage::resident;
use portcullis_tests::harness::{Dial, Gateway, Proxy, Scripts};
use rand::{Rng as _, SeedableRng as _};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Pair, serving};

/// The port where strangers find somebody: the gateway's, or the server's for those that dial out.
fn port(pair: &Pair) -> u16 {
    match pair.gateway.dial {
        Dial::In(port) | Dial::Out(port) => port,
    }
}

async fn serves(pair: &Pair, id: &str) {
    let outcome = pair.record(id).await;
    assert!(matches!(outcome.result, Some(Came::Done(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_answered_with_an_opaque_alert_and_a_close() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = rand_chacha::ChaCha12Rng::seed_from_u64(seed);
    for out in [false, true] {
        let pair = Pair::new(out, "").await;
        let mut noise = vec![0; 4096];
        rng.fill_bytes(&mut noise);
        let greetings: [&[u8]; 6] = [
            &noise,
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            // A TLS ClientHello's first bytes; a handshake record of the greatest length; a data
            // record.
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\x11\xff\xff",
            b"\x20\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        ];
        for greeting in greetings {
            let mut stranger = TcpStream::connect(("127.0.0.1", port(&pair)))
                .await
                .unwrap();
            // It may close before all of it was sent.
            let _ = stranger.write_all(greeting).await;
            let mut answer = Vec::new();
            let read = stranger.read_to_end(&mut answer);
            let read = tokio::time::timeout(Duration::from_secs(20), read).await;
            assert!(
                read.is_ok(),
                "{greeting:x?} was not answered and not closed"
            );
            // Who speaks TLS is told in its own words: a fatal handshake_failure.
            let told: &[u8] = match greeting[0] {
                0x16 => &[0x15, 3, 3, 0, 2, 2, 40],
                _ => &[0x30, 0, 0],
            };
            assert!(answer.is_empty() || answer == told, "{answer:x?}");
        }
        serves(&pair, "after-garbage").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_silent_connections_leave_the_link_alone() {
    for out in [false, true] {
        let mut pair = Pair::new(out, "").await;
        let mut strangers = Vec::new();
        for _ in 0..1000 {
            // Beyond its bounds the other side drops them, or does not accept them.
            let connect = TcpStream::connect(("127.0.0.1", port(&pair)));
            if let Ok(Ok(stranger)) = tokio::time::timeout(Duration::from_secs(2), connect).await {
                strangers.push(stranger);
            }
        }
        assert!(strangers.len() > 100, "{}", strangers.len());
        serves(&pair, "among-a-thousand").await;
        let process = if out {
            &pair.server.process
        } else {
            &pair.gateway.process
        };
        let kib = resident(process.as_ref().unwrap().id()) / 1024;
        assert!(kib < 200 * 1024, "{kib} KiB");

        // A restart in the middle of it finds its way back too.
        pair.gateway.kill();
        pair.gateway.start();
        pair.admin.synchronized("host1").await;
        serves(&pair, "and-back").await;
        drop(strangers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_call_shows_on_the_wire() {
    for out in [false, true] {
        let (site, server, admin) = serving("").await;
        let scripts = Scripts::new(&site, "scripts");
        // The hop stands between them, whoever dials.
        let (dial, address, hop) = if out {
            let hop = Proxy::new(server.dial_out_port).await;
            (Dial::Out(hop.port), String::new(), hop)
        } else {
            let dial = Dial::inward();
            let Dial::In(port) = dial else {
                unreachable!("it is dialled")
            };
            let hop = Proxy::new(port).await;
            (dial, format!("127.0.0.1:{}", hop.port), hop)
        };
        let mut gateway = Gateway::new(&site, "host1", dial, &scripts.config());
        let token = admin.add_gateway("host1", &address, false).await;
        gateway.enroll(&token);
        gateway.start();
        let shown = admin.synchronized("host1").await;
        admin
            .add_resource("journal", "host1", Scripts::CONNECTOR)
            .await;
        let id = "call-of-the-wild";
        admin.call("journal", Scripts::call("record", id)).await;
        let rotated = admin.rotate(30_000).await;
        admin.synchronized("host1").await;
        assert_eq!(scripts.executed().get(id), Some(&1));

        let on_the_wire = |text: &str| hop.recording.contains(text.as_bytes());
        // The same search finds what is sent in clear: the gateway's id, in message 0 or 2.
        let hex = shown.gateway_id.trim_start_matches("gw-");
        let gateway_id = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        assert!(hop.recording.contains(&gateway_id), "nothing was recorded");
        for secret in [
            id,
            "record",
            "journal",
            "portcullis.gateway",
            "Provisioning",
            "PRI * HTTP",
            "grpc",
            &token,
        ] {
            assert!(!on_the_wire(secret), "{secret} is on the wire");
        }
        assert!(!rotated.current_key_id.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_comes_back_by_itself() {
    let (site, server, admin) = serving("").await;
    let hop = Proxy::new(server.dial_out_port).await;
    let mut gateway = Gateway::new(&site, "host1", Dial::Out(hop.port), "");
    let token = admin.add_gateway("host1", "", false).await;
    gateway.enroll(&token);
    gateway.start();
    for _ in 0..3 {
        let before = admin.synchronized("host1").await.connected_since_unix_ms;
        hop.cut();
        admin
            .gateway_becomes("host1", "connected anew", |g| {
                g.connected && g.connected_since_unix_ms != before
            })
            .await;
    }
}
