//! Who dials the server and is nobody: what is answered, and when.

use std::time::{Duration, Instant};

use portcullis_common::handshake::Preamble;
use portcullis_common::id::GatewayId;
use portcullis_common::wire::HEADER_LEN;
use portcullis_host::private_files::create_private_file;
use portcullis_server::repository::Reach;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::support::{PATIENCE, Server};

const ALERT: [u8; 3] = [0x30, 0, 0];

async fn dial(server: &Server, preamble: Option<&Preamble>) -> TcpStream {
    let mut io = TcpStream::connect(server.dial_out).await.unwrap();
    if let Some(preamble) = preamble {
        io.write_all(&preamble.encode().unwrap()).await.unwrap();
    }
    io
}

/// All that the server says until it hangs up.
async fn answer(mut io: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, io.read_to_end(&mut answer)).await;
    read.unwrap().unwrap();
    answer
}

async fn revoke(server: &Server, name: &str) -> GatewayId {
    let gateways = server.repository.gateways();
    let revoked = gateways.update(name, |registration, _| {
        registration.revoke();
        registration.gateway_id
    });
    revoked.await.unwrap()
}

/// Nobody learns which names and ids there are, what became of them, or what this server is called
/// and which keys it takes: not from what it says, and not from when it says it.
#[tokio::test(flavor = "multi_thread")]
async fn all_who_may_not_come_in_are_refused_alike_and_at_the_same_time() {
    let server = Server::start().await;
    let name = |name: &str| Preamble::Name(name.to_owned());
    server.add("pairing", Reach::DialOut, true).await;
    server.add("by-token", Reach::DialOut, false).await;
    server.add("gone", Reach::DialOut, true).await;
    let gone = revoke(&server, "gone").await;
    let (_, dialled) = server.add_at_free_port("dialled").await;

    let mut pairs = dial(&server, Some(&name("pairing"))).await;
    let mut header = [0; HEADER_LEN];
    pairs.read_exact(&mut header).await.unwrap();
    assert_eq!(header[0], 0x11, "pairing is open, and a name is enough");

    for refused in [
        name("nobody"),
        name("by-token"),
        name("gone"),
        name("dialled"),
        Preamble::Id(GatewayId::random(&mut rand::rng())),
        Preamble::Id(gone),
        Preamble::Id(dialled.gateway_id()),
    ] {
        let began = Instant::now();
        let io = dial(&server, Some(&refused)).await;
        assert_eq!(answer(io).await, ALERT, "{refused:?}");
        // Longer than any of them takes to look up, so that none shows.
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(24), "{refused:?}: {took:?}");
    }
}

/// Who has the gateway is told what it lacks, though nothing more is read of the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_comes_without_tls_where_it_is_compulsory_is_refused_and_told_of() {
    let server = Server::start().await;
    server.add("plain", Reach::DialOut, false).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        create_private_file(&path, text.as_bytes()).unwrap();
        path
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["server".to_owned()]).unwrap();
    let certificate = file("server.pem", certificate.self_signed(&key).unwrap().pem());
    let settings = portcullis_tls::Settings {
        peer_ca: certificate.clone(),
        certificate,
        key: file("server.key", key.serialize_pem()),
        revoked: None,
        require: true,
        server_name: None,
    };
    server.fleet.tls().load(Some(&settings)).unwrap();
    let io = dial(&server, Some(&Preamble::Name("plain".to_owned()))).await;
    // In the words of TLS: a fatal alert.
    assert_eq!(answer(io).await.get(..2), Some(&[21, 3][..]));
    server
        .until("the reason to be noted", || async {
            let gateway = server.repository.gateways().find("plain").await;
            let told = gateway.unwrap().unwrap().last_error;
            told.is_some_and(|told| told.contains("speaks without TLS"))
        })
        .await;
}

/// Two timers end at about the same moment: the one that says so is to be the first, always.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_whose_time_is_up_ends_with_an_alert() {
    let server = Server::start_with(|config| {
        config.channel.handshake_timeout = Duration::from_millis(300);
    })
    .await;
    let token = server.add("host1", Reach::DialOut, false).await;
    let known = Preamble::Id(token.gateway_id());
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push((dial(&server, None).await, "silent"));
        let mut slow = dial(&server, None).await;
        slow.write_all(&[0x10, 0]).await.unwrap();
        stalled.push((slow, "in the middle of message 0"));
        let mut met = dial(&server, Some(&known)).await;
        let mut header = [0; HEADER_LEN];
        met.read_exact(&mut header).await.unwrap();
        let mut message_1 = vec![0; usize::from(u16::from_be_bytes([header[1], header[2]]))];
        met.read_exact(&mut message_1).await.unwrap();
        stalled.push((met, "after message 1"));
    }
    for (io, how) in stalled {
        assert_eq!(answer(io).await, ALERT, "{how}");
    }
}
