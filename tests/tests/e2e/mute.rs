//! Hosts that take the server's connections and never answer, beside gateways that do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_tests::harness::{Admin, Dial, Gateway, Site};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::serving;

/// More than twice the handshakes that the server works at at once.
const MUTE: usize = 150;
const LIVE: [&str; 3] = ["live1", "live2", "live3"];
/// How long a handshake may take: far longer than the live ones may wait for theirs.
const HANDSHAKE: &str = "[channel]\nhandshake_timeout = \"60s\"\n";
const SOON: Duration = Duration::from_secs(20);

/// Takes connections, and keeps them.
async fn mute(takes: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    takes.spawn(async move {
        let mut taken: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            taken.push(stream);
        }
    });
    address
}

async fn live(site: &Site, admin: &Admin, name: &str) -> Gateway {
    let dial = Dial::inward();
    let mut gateway = Gateway::new(site, name, dial, "");
    let token = admin.add_gateway(name, &dial.address(), false).await;
    gateway.enroll(&token);
    gateway.start();
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_never_answer_keep_no_other_gateway_off_line() {
    let (site, mut server, admin) = serving(HANDSHAKE).await;
    let mut takes = JoinSet::new();
    for number in 0..MUTE {
        let address = mute(&mut takes).await.to_string();
        let name = format!("mute{number}");
        admin.add_gateway(&name, &address, false).await;
    }
    let mut gateways = Vec::new();
    let began = Instant::now();
    for name in LIVE {
        gateways.push(live(&site, &admin, name).await);
    }
    for name in LIVE {
        admin.synchronized(name).await;
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());

    // Dialled all together.
    server.kill();
    let admin = server.serve().await;
    let began = Instant::now();
    for name in LIVE {
        admin.synchronized(name).await;
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(!admin.gateway("mute0").await.connected);
}
