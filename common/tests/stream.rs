//! Sealed streams over transports that behave as badly as they may.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::io;
use std::task::Poll;
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::record::RecordError;
use portcullis_common::stream::{ChannelError, SealedStream};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use support::transport::{Choppy, Tap, frames, seed};
use support::{Pair, channel_error};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

fn text(rng: &mut StdRng, len: usize) -> Vec<u8> {
    let mut text = vec![0; len];
    rng.fill_bytes(&mut text);
    text
}

#[tokio::test]
async fn what_one_side_writes_the_other_reads_and_a_close_is_the_end() {
    for suite in Suite::ALL {
        let (a, b) = duplex(1024);
        let (mut server, mut gateway) = Pair::new(suite).join(a, b).await;
        assert_eq!(server.session().info(), gateway.session().info());
        assert_eq!(server.session().info().suite, suite);

        let talk = async {
            server.write_all(b"create account").await.unwrap();
            server.shutdown().await.unwrap();
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"done");
        };
        let answer = async {
            let mut request = Vec::new();
            gateway.read_to_end(&mut request).await.unwrap();
            assert_eq!(request, b"create account");
            gateway.write_all(b"done").await.unwrap();
            gateway.shutdown().await.unwrap();
            let error = gateway.write(b"more").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        };
        tokio::join!(talk, answer);
    }
}

/// Writes pieces of random sizes, in both directions at once, over transports that cut and delay at
/// random.
#[tokio::test]
async fn random_pieces_survive_random_transports() {
    let seed = seed();
    for (round, suite) in (0..6).zip(Suite::ALL.into_iter().cycle()) {
        let seed = seed.wrapping_add(round);
        let (a, b) = duplex(1 + (seed % 5_000) as usize);
        let (a, b) = (Choppy::new(a, seed), Choppy::new(b, !seed));
        let (server, gateway) = Pair::new(suite).join(a, b).await;
        let rng = &mut StdRng::seed_from_u64(seed);
        let (down, up) = (text(rng, 300_000), text(rng, 100_000));

        let ((from_server, to_server), (from_gateway, to_gateway)) =
            (tokio::io::split(server), tokio::io::split(gateway));
        let (_, _, at_gateway, at_server) = tokio::join!(
            write_in_pieces(to_server, &down, seed),
            write_in_pieces(to_gateway, &up, seed + 1),
            read_in_pieces(from_gateway, seed),
            read_in_pieces(from_server, seed + 1),
        );
        assert!(at_gateway == down && at_server == up);
    }
}

async fn write_in_pieces(mut to: impl AsyncWriteExt + Unpin, text: &[u8], seed: u64) {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rng.random_range(0..40_000).min(rest.len()));
        to.write_all(piece).await.unwrap();
        if rng.random() {
            to.flush().await.unwrap();
        }
        rest = after;
    }
    to.shutdown().await.unwrap();
}

async fn read_in_pieces(mut from: impl AsyncReadExt + Unpin, seed: u64) -> Vec<u8> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut text = Vec::new();
    loop {
        let mut buf = vec![0; rng.random_range(1..30_000)];
        match from.read(&mut buf).await.unwrap() {
            0 => return text,
            len => text.extend_from_slice(&buf[..len]),
        }
    }
}

/// A gateway's stream, and the server's records for it: one of each text, then the close.
async fn recorded(
    suite: Suite,
    texts: &[&[u8]],
) -> (SealedStream<DuplexStream>, DuplexStream, Vec<u8>) {
    // The handshake is relayed; what the server sends after it is kept back.
    let (server_io, mut server_far) = duplex(1 << 20);
    let (gateway_io, mut gateway_far) = duplex(1 << 20);
    let pair = Pair::new(suite);
    let relay = async {
        for _ in 0..2 {
            relay_frame(&mut server_far, &mut gateway_far).await;
            relay_frame(&mut gateway_far, &mut server_far).await;
        }
    };
    let ((mut server, gateway), ()) = tokio::join!(pair.join(server_io, gateway_io), relay);
    for text in texts {
        server.write_all(text).await.unwrap();
        // Ends the record.
        server.flush().await.unwrap();
    }
    server.shutdown().await.unwrap();
    let mut wire = Vec::new();
    server_far.read_to_end(&mut wire).await.unwrap();
    (gateway, gateway_far, wire)
}

async fn relay_frame(from: &mut DuplexStream, to: &mut DuplexStream) {
    let mut frame = vec![0; 3];
    from.read_exact(&mut frame).await.unwrap();
    let len = usize::from(u16::from_be_bytes([frame[1], frame[2]]));
    frame.resize(3 + len, 0);
    from.read_exact(&mut frame[3..]).await.unwrap();
    to.write_all(&frame).await.unwrap();
}

/// What the gateway reads when `wire` arrives and then the connection ends.
async fn read_all(
    gateway: &mut SealedStream<DuplexStream>,
    mut far: DuplexStream,
    wire: &[u8],
) -> (Vec<u8>, io::Result<usize>) {
    far.write_all(wire).await.unwrap();
    far.shutdown().await.unwrap();
    let mut text = Vec::new();
    let result = gateway.read_to_end(&mut text).await;
    (text, result)
}

#[tokio::test]
async fn a_stream_cut_at_any_length_is_truncated_not_ended() {
    for suite in Suite::ALL {
        let (mut gateway, far, wire) = recorded(suite, &[b"first", b"second"]).await;
        let whole = read_all(&mut gateway, far, &wire).await;
        assert_eq!(
            (whole.0.as_slice(), whole.1.unwrap()),
            (&b"firstsecond"[..], 11)
        );
        for len in 0..wire.len() {
            let (mut gateway, far, wire) = recorded(suite, &[b"first", b"second"]).await;
            let (text, result) = read_all(&mut gateway, far, &wire[..len]).await;
            let error = result.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {len}");
            assert!(matches!(
                channel_error(&error),
                Some(ChannelError::Truncated)
            ));
            assert!([&b""[..], b"first", b"firstsecond"].contains(&&*text));
            assert_ended(&mut gateway).await;
        }
    }
}

/// Whatever was wrong, the session is over in both directions.
async fn assert_ended(stream: &mut SealedStream<DuplexStream>) {
    assert!(stream.session().is_closed());
    stream.session().closed().await;
    assert!(stream.read(&mut [0; 8]).await.is_err());
    assert!(stream.write(b"more").await.is_err());
    assert!(stream.flush().await.is_err());
}

#[tokio::test]
async fn records_meddled_with_end_the_session() {
    type Meddle = fn(Vec<Vec<u8>>) -> Vec<Vec<u8>>;
    let meddlings: [(&str, Meddle); 7] = [
        ("replayed", |r| vec![r[0].clone(), r[0].clone()]),
        ("dropped", |r| vec![r[0].clone(), r[2].clone()]),
        ("reordered", |r| {
            vec![r[0].clone(), r[2].clone(), r[1].clone()]
        }),
        ("flipped", |mut r| {
            *r[1].last_mut().unwrap() ^= 1;
            r
        }),
        ("alert", |r| vec![r[0].clone(), vec![0x30, 0, 0]]),
        ("closed early", |r| vec![r[0].clone(), r[3].clone()]),
        ("after the close", |mut r| {
            r.push(r[0].clone());
            r
        }),
    ];
    for suite in Suite::ALL {
        for (name, meddle) in meddlings {
            let texts: [&[u8]; 3] = [b"one", b"two", b"three"];
            let (mut gateway, far, wire) = recorded(suite, &texts).await;
            let records = frames(&wire).into_iter().map(|(kind, body)| {
                let [high, low] = (body.len() as u16).to_be_bytes();
                [&[kind, high, low], body.as_slice()].concat()
            });
            let wire = meddle(records.collect()).concat();
            let (text, result) = read_all(&mut gateway, far, &wire).await;
            let error = result.expect_err(name);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
            let error = channel_error(&error).unwrap();
            assert!(matches!(error, ChannelError::Record(_)), "{name}: {error}");
            // What was verified before is still handed out, and nothing else.
            assert!(
                b"onetwothree".starts_with(&text) && text.starts_with(b"one"),
                "{name}"
            );
            assert_ended(&mut gateway).await;
        }
    }
}

#[tokio::test]
async fn a_reflected_record_ends_the_session() {
    for suite in Suite::ALL {
        let (a, mut far) = duplex(1 << 16);
        let (b, mut other) = duplex(1 << 16);
        let relay = async {
            for _ in 0..2 {
                relay_frame(&mut far, &mut other).await;
                relay_frame(&mut other, &mut far).await;
            }
        };
        let pair = Pair::new(suite);
        let ((mut server, _gateway), ()) = tokio::join!(pair.join(a, b), relay);
        server.write_all(b"disable account").await.unwrap();
        server.flush().await.unwrap();
        let mut record = vec![0; 3 + 15 + 16];
        far.read_exact(&mut record).await.unwrap();
        far.write_all(&record).await.unwrap();
        let error = server.read(&mut [0; 32]).await.unwrap_err();
        assert!(matches!(
            channel_error(&error),
            Some(ChannelError::Record(RecordError::Forged))
        ));
        assert_ended(&mut server).await;
    }
}

#[tokio::test]
async fn no_byte_of_a_record_is_given_out_before_all_of_it_was_verified() {
    for suite in Suite::ALL {
        let (mut gateway, far, mut wire) = recorded(suite, &[&[7; 16_000]]).await;
        let last = 3 + 16_000 + 15;
        wire[last] ^= 0x80;
        let (text, result) = read_all(&mut gateway, far, &wire).await;
        assert!(text.is_empty() && result.is_err());
    }
}

#[tokio::test]
async fn a_cancelled_write_loses_and_repeats_nothing() {
    let seed = seed();
    for suite in Suite::ALL {
        let (a, b) = duplex(100);
        let (mut server, gateway) = Pair::new(suite).join(a, b).await;
        let read = tokio::spawn(read_in_pieces(gateway, seed));
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut accepted = Vec::new();
        let mut cancelled = 0;
        while accepted.len() < 300_000 {
            let len = rng.random_range(1..20_000);
            let piece = text(rng, len);
            tokio::select! {
                biased;
                len = server.write(&piece) => accepted.extend_from_slice(&piece[..len.unwrap()]),
                () = tokio::task::yield_now() => cancelled += 1,
            }
        }
        server.shutdown().await.unwrap();
        assert!(cancelled > 10, "only {cancelled} writes were cancelled");
        assert!(read.await.unwrap() == accepted);
    }
}

/// Reads, writes and flushes are dropped at whatever point they had come to, on both sides and over
/// a bad transport.
#[tokio::test]
async fn whatever_is_cancelled_loses_and_repeats_nothing() {
    let seed = seed();
    for (suite, seed) in Suite::ALL.into_iter().zip(seed..) {
        let (a, b) = duplex(3_000);
        let (a, b) = (Choppy::new(a, seed), Choppy::new(b, !seed));
        let (mut server, mut gateway) = Pair::new(suite).join(a, b).await;
        let sent = text(&mut StdRng::seed_from_u64(seed), 200_000);
        let mut cancelled = (0, 0, 0);
        let write = async {
            let rng = &mut StdRng::seed_from_u64(seed);
            let mut rest = sent.as_slice();
            while !rest.is_empty() {
                let piece = &rest[..rng.random_range(0..=rest.len().min(9_000))];
                match impatient(rng, server.write(piece)).await {
                    Some(len) => rest = &rest[len.unwrap()..],
                    None => cancelled.0 += 1,
                }
                if impatient(rng, server.flush()).await.is_none() {
                    cancelled.1 += 1;
                }
            }
            server.shutdown().await.unwrap();
        };
        let read = async {
            let rng = &mut StdRng::seed_from_u64(!seed);
            let (mut received, mut buf) = (Vec::new(), vec![0; 20_000]);
            loop {
                let len = rng.random_range(1..=buf.len());
                match impatient(rng, gateway.read(&mut buf[..len])).await {
                    Some(Ok(0)) => return received,
                    Some(len) => received.extend_from_slice(&buf[..len.unwrap()]),
                    None => cancelled.2 += 1,
                }
            }
        };
        let ((), received) = tokio::join!(write, read);
        assert!(received == sent);
        assert!(
            cancelled.0.min(cancelled.1).min(cancelled.2) > 3,
            "few were cancelled: {cancelled:?}"
        );
    }
}

/// Drops `work` after at most a few polls.
async fn impatient<T>(rng: &mut StdRng, work: impl Future<Output = T>) -> Option<T> {
    let polls = rng.random_range(1..4);
    let patience = async {
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = patience => None,
    }
}

#[tokio::test]
async fn nothing_written_sends_nothing() {
    for suite in Suite::ALL {
        let (a, b) = duplex(1_000);
        let (a, tap) = Tap::new(a);
        let (mut server, mut gateway) = Pair::new(suite).join(a, b).await;
        let handshake = tap.lock().unwrap().written.len();
        assert_eq!(server.write(b"").await.unwrap(), 0);
        server.flush().await.unwrap();
        assert_eq!(gateway.read(&mut []).await.unwrap(), 0);
        assert_eq!(tap.lock().unwrap().written.len(), handshake);
        server.write_all(b"text").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(read_in_pieces(gateway, 1).await, b"text");
    }
}

/// As under load: what is written before a flush goes out together.
#[tokio::test]
async fn many_small_writes_make_one_record() {
    let (a, b) = duplex(1 << 16);
    let (a, tap) = Tap::new(a);
    let (mut server, _gateway) = Pair::new(Suite::TdesCtrHmacSha256).join(a, b).await;
    let mut lens = Vec::new();
    // The first times, the buffers are still small.
    for _ in 0..3 {
        let before = tap.lock().unwrap().written.len();
        for _ in 0..100 {
            server.write_all(&[7; 90]).await.unwrap();
        }
        server.flush().await.unwrap();
        let records = frames(&tap.lock().unwrap().written[before..]);
        lens = records.iter().map(|(_, body)| body.len()).collect();
    }
    assert_eq!(lens, [9_000 + 16]);
}

#[tokio::test]
async fn a_failed_write_ends_both_directions() {
    for suite in Suite::ALL {
        let (a, b) = duplex(1 << 16);
        let (a, tap) = Tap::new(a);
        let (mut server, mut gateway) = Pair::new(suite).join(a, b).await;
        gateway.write_all(b"unread").await.unwrap();
        gateway.flush().await.unwrap();
        tap.lock().unwrap().broken = true;
        server.write_all(b"lost").await.unwrap();
        let error = server.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(server.session().is_closed());

        // Not even a transport that recovered is used again.
        let before = {
            let mut tap = tap.lock().unwrap();
            tap.broken = false;
            tap.written.len()
        };
        assert!(server.write(b"more").await.is_err());
        assert!(server.read(&mut [0; 16]).await.is_err());
        server.shutdown().await.unwrap();
        assert_eq!(tap.lock().unwrap().written.len(), before);
        // The peer learns that it was cut.
        let error = gateway.read(&mut [0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_stops_the_writer() {
    for suite in Suite::ALL {
        let (a, b) = duplex(1_000);
        let (mut server, gateway) = Pair::new(suite).join(a, b).await;
        let mut accepted = 0;
        for _ in 0..100 {
            let written = tokio::select! {
                biased;
                len = server.write(&[1; 10_000]) => len.unwrap(),
                () = tokio::task::yield_now() => break,
            };
            accepted += written;
        }
        assert!(
            (30_000..100_000).contains(&accepted),
            "{accepted} bytes were taken"
        );
        // It goes on as soon as the peer reads.
        let finish = async { server.shutdown().await.unwrap() };
        let (read, ()) = tokio::join!(read_in_pieces(gateway, 1), finish);
        assert_eq!(read.len(), accepted);
    }
}

#[tokio::test]
async fn closing_the_session_ends_whatever_waits() {
    for suite in Suite::ALL {
        // A read that waits, and a write that waits.
        let (a, b) = duplex(100);
        let (server, gateway) = Pair::new(suite).join(a, b).await;
        let session = std::sync::Arc::clone(server.session());
        let (mut read, mut write) = tokio::io::split(server);
        let reading = tokio::spawn(async move { read.read(&mut [0; 8]).await });
        let writing = tokio::spawn(async move { write.write_all(&[0; 1_000_000]).await });
        let closed = tokio::spawn({
            let session = std::sync::Arc::clone(&session);
            async move { session.closed().await }
        });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!reading.is_finished() && !writing.is_finished() && !closed.is_finished());
        session.close();
        for ended in [
            reading.await.unwrap().map(drop),
            writing.await.unwrap().map(drop),
        ] {
            let error = ended.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
            assert!(matches!(channel_error(&error), Some(ChannelError::Closed)));
        }
        closed.await.unwrap();
        drop(gateway);
    }
}

/// As when a gateway is revoked: not a byte more, though the transport would take it.
#[tokio::test]
async fn a_closed_session_sends_and_gives_nothing_more() {
    for suite in Suite::ALL {
        let (a, b) = duplex(1_000);
        let (mut server, mut gateway) = Pair::new(suite).join(a, b).await;
        gateway.write_all(b"arrived before").await.unwrap();
        gateway.flush().await.unwrap();
        server.session().close();
        for ended in [
            server.read(&mut [0; 8]).await.map(drop),
            server.write(b"too late").await.map(drop),
            server.flush().await,
        ] {
            let error = ended.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        }
        server.shutdown().await.unwrap();
        let error = gateway.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_dropped_stream_closes_its_session() {
    let (a, b) = duplex(1_000);
    let (server, mut gateway) = Pair::new(Suite::Aes256Gcm).join(a, b).await;
    let session = std::sync::Arc::clone(server.session());
    drop(server);
    session.closed().await;
    let error = gateway.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test(start_paused = true)]
async fn the_sender_renews_its_key_by_age() {
    for suite in Suite::ALL {
        let (a, b) = duplex(1 << 16);
        let (a, tap) = Tap::new(a);
        let (mut server, mut gateway) = Pair::new(suite).join(a, b).await;
        let handshake = tap.lock().unwrap().written.len();
        for _ in 0..4 {
            server.write_all(b"ping").await.unwrap();
            server.flush().await.unwrap();
            let mut text = [0; 4];
            gateway.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"ping");
            tokio::time::advance(Duration::from_secs(301)).await;
        }
        let types: Vec<u8> = frames(&tap.lock().unwrap().written[handshake..])
            .iter()
            .map(|(kind, _)| *kind)
            .collect();
        assert_eq!(types, [0x20, 0x20, 0x21, 0x20, 0x20]);
    }
}

/// 20 MB: more than two epochs of the 3DES suite.
#[tokio::test]
async fn a_bulk_transfer_crosses_epochs() {
    let suite = Suite::TdesCtrHmacSha256;
    let (a, b) = duplex(1 << 16);
    let (a, tap) = Tap::new(a);
    let (mut server, mut gateway) = Pair::new(suite).join(a, b).await;
    let handshake = tap.lock().unwrap().written.len();
    let text: Vec<u8> = (0..20_000_000_u32).map(|i| (i >> 5) as u8).collect();
    let send = async {
        server.write_all(&text).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let receive = async {
        let mut received = Vec::new();
        gateway.read_to_end(&mut received).await.unwrap();
        received
    };
    let ((), received) = tokio::join!(send, receive);
    assert!(received == text);
    let records = frames(&tap.lock().unwrap().written[handshake..]);
    let updates = records.iter().filter(|(kind, _)| *kind == 0x21).count();
    assert_eq!(updates, 2);
}

#[tokio::test]
async fn pending_reads_do_not_disturb_writes() {
    let (a, b) = duplex(1_000);
    let (mut server, mut gateway) = Pair::new(Suite::TdesCtrHmacSha256).join(a, b).await;
    let mut buf = [0; 4];
    std::future::poll_fn(|cx| {
        let mut buf = tokio::io::ReadBuf::new(&mut buf);
        let polled = tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut server), cx, &mut buf);
        assert!(polled.is_pending());
        Poll::Ready(())
    })
    .await;
    server.write_all(b"ping").await.unwrap();
    server.flush().await.unwrap();
    gateway.read_exact(&mut buf).await.unwrap();
    gateway.write_all(b"pong").await.unwrap();
    gateway.flush().await.unwrap();
    server.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"pong");
}
