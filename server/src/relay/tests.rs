//! What a relay carries, what it bounds, and what its configuration refuses.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A relay before `target`: where it listens, its places, and its task.
async fn relay_to(target: String, limits: Limits) -> (SocketAddr, Places, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = listener.local_addr().unwrap();
    let forward = Arc::new(Forward {
        name: "test".to_owned(),
        listen,
        target,
    });
    let places = Places::new(&limits);
    let task = tokio::spawn(listener::listen(listener, forward, limits, places.clone()));
    (listen, places, task)
}

/// Whoever says something gets it back, and the end after its end.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = io.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address.to_string()
}

/// One who takes connections and never says a word.
async fn mute() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((io, _)) = listener.accept().await {
            held.push(io);
        }
    });
    address.to_string()
}

/// Waits until the relay has closed `io`.
async fn closed(io: &mut TcpStream) {
    let mut rest = Vec::new();
    // An error is a close, too.
    let _ = timeout(PATIENCE, io.read_to_end(&mut rest))
        .await
        .expect("the relay closes it");
}

async fn until(places: &Places, taken: usize) {
    let reached = async {
        while places.taken() != taken {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reached)
        .await
        .expect("places are given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_end_sends_the_other_gets_unchanged_and_a_close_is_passed_on() {
    let (listen, places, _task) = relay_to(echo().await, Limits::default()).await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let io = TcpStream::connect(listen).await.unwrap();
    let (mut from, mut to) = io.into_split();
    let sending = {
        let sent = sent.clone();
        tokio::spawn(async move {
            to.write_all(&sent).await.unwrap();
            to.shutdown().await.unwrap();
            to
        })
    };
    let mut got = Vec::new();
    timeout(PATIENCE, from.read_to_end(&mut got))
        .await
        .unwrap()
        .unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    sending.await.unwrap();
    until(&places, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_half_open_and_dropped_in_time() {
    let limits = Limits {
        half_open_time: Duration::from_millis(300),
        ..Limits::default()
    };
    for (target, says) in [(echo().await, false), (mute().await, true)] {
        let (listen, places, _task) = relay_to(target, limits).await;
        let mut io = TcpStream::connect(listen).await.unwrap();
        if says {
            io.write_all(b"garbage").await.unwrap();
        }
        closed(&mut io).await;
        until(&places, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_close_after_the_other_end_has_is_cut() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = target.local_addr().unwrap().to_string();
    let limits = Limits {
        half_open_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let (listen, places, _task) = relay_to(address, limits).await;
    let mut io = TcpStream::connect(listen).await.unwrap();
    io.write_all(b"a").await.unwrap();
    let (mut far, _) = target.accept().await.unwrap();
    far.read_exact(&mut [0]).await.unwrap();
    far.write_all(b"b").await.unwrap();
    drop(far);
    until(&places, 0).await;
    closed(&mut io).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_are_bounded_and_those_that_are_open_stay() {
    let limits = Limits {
        half_open: 8,
        half_open_per_address: 4,
        ..Limits::default()
    };
    let (listen, places, _task) = relay_to(echo().await, limits).await;
    let mut open = TcpStream::connect(listen).await.unwrap();
    let mut byte = [0];
    open.write_all(b"a").await.unwrap();
    open.read_exact(&mut byte).await.unwrap();
    let mut crowd = Vec::new();
    for _ in 0..50 {
        crowd.push(TcpStream::connect(listen).await.unwrap());
    }
    // Four of one address, and the one that is open.
    until(&places, 5).await;
    open.write_all(b"b").await.unwrap();
    timeout(PATIENCE, open.read_exact(&mut byte))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&byte, b"b");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_connections_and_no_more() {
    let limits = Limits {
        connections_per_address: 3,
        ..Limits::default()
    };
    let (listen, places, _task) = relay_to(echo().await, limits).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut io = TcpStream::connect(listen).await.unwrap();
        io.write_all(b"a").await.unwrap();
        io.read_exact(&mut [0]).await.unwrap();
        held.push(io);
    }
    let mut fourth = TcpStream::connect(listen).await.unwrap();
    closed(&mut fourth).await;
    held.pop();
    until(&places, 2).await;
    let mut again = TcpStream::connect(listen).await.unwrap();
    again.write_all(b"a").await.unwrap();
    timeout(PATIENCE, again.read_exact(&mut [0]))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_a_connection_and_words_keep_it() {
    let idle = Duration::from_millis(400);
    let limits = Limits {
        idle,
        ..Limits::default()
    };
    let (listen, places, _task) = relay_to(echo().await, limits).await;
    let mut io = TcpStream::connect(listen).await.unwrap();
    let mut byte = [0];
    let begun = std::time::Instant::now();
    while begun.elapsed() < idle * 3 {
        io.write_all(b"a").await.unwrap();
        timeout(PATIENCE, io.read_exact(&mut byte))
            .await
            .unwrap()
            .unwrap();
        tokio::time::sleep(idle / 10).await;
    }
    closed(&mut io).await;
    until(&places, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_away_closes_the_connection_and_is_dialled_again_for_the_next() {
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = away.local_addr().unwrap();
    drop(away);
    let (listen, places, _task) = relay_to(target.to_string(), Limits::default()).await;
    let mut io = TcpStream::connect(listen).await.unwrap();
    closed(&mut io).await;
    until(&places, 0).await;
    let back = TcpListener::bind(target).await.unwrap();
    let mut io = TcpStream::connect(listen).await.unwrap();
    let (mut far, _) = timeout(PATIENCE, back.accept()).await.unwrap().unwrap();
    io.write_all(b"x").await.unwrap();
    far.read_exact(&mut [0]).await.unwrap();
}

#[test]
fn the_sample_holds_the_defaults() {
    let sample = include_str!("../../../deploy/relay.toml");
    let config = RelayConfig::parse(sample, Path::new("relay.toml")).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.forwards.len(), 2);
}

#[test]
fn what_is_wrong_with_the_configuration_is_told_with_its_place() {
    for (text, said) in [
        ("", "1 to 256 tables [forward.NAME]"),
        (
            "[forward.a]\nlisten = \"0.0.0.0:1\"",
            "forward.a.target: HOST:PORT",
        ),
        (
            "[forward.a]\nlisten = \"host:1\"\ntarget = \"b:1\"",
            "relay.toml, line 2: forward.a.listen",
        ),
        (
            "[forward.a]\nlisten = \"0.0.0.0:0\"\ntarget = \"b:1\"",
            "a port other than 0",
        ),
        (
            "[forward.a]\nlisten = \"0.0.0.0:1\"\ntarget = \"b\"",
            "HOST:PORT",
        ),
        (
            "[forward.a]\nlisten = \"0.0.0.0:1\"\ntarget = \"b:1\"\n[forward.b]\nlisten = \"0.0.0.0:1\"\ntarget = \"c:1\"",
            "another [forward.NAME] listens there",
        ),
        (
            "[forward.a]\nlisten = \"0.0.0.0:1\"\ntarget = \"b:1\"\nkey = \"x\"",
            "unknown key",
        ),
        (
            "[forward.a]\nlisten = \"0.0.0.0:1\"\ntarget = \"b:1\"\n[limits]\nbuffer_kib = 17",
            "from 1 to 16",
        ),
    ] {
        let error = RelayConfig::parse(text, Path::new("relay.toml")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[tokio::test]
async fn dialling_and_the_first_words_have_one_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _near = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (io, _) = listener.accept().await.unwrap();
    let forward = Forward {
        name: "test".to_owned(),
        listen: listener.local_addr().unwrap(),
        target: mute().await,
    };
    // Of its time all but this is over.
    let left = Duration::from_millis(100);
    let deadline = tokio::time::Instant::now() + left;
    let opening = connection::open(io, &forward, Limits::default(), deadline);
    let opened = timeout(PATIENCE / 4, opening).await.expect("in time");
    assert!(opened.is_err_and(|why| why.contains("half-open")));
}
