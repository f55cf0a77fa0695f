//! Ten thousand connections at once, some of them with garbage.

use std::path::Path;

use portcullis_tests::harness::{Process, eventually};

use crate::hosts::{Host, RELAY_BY_GATEWAYS, Zone};

/// Opens so many connections from many addresses; every third says something that is nothing, and
/// all are held until the script is killed.
const FLOOD: &str = "
import os, resource, select, signal, socket, sys
host, count = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
held = []
for number in range(count):
    s = socket.socket()
    s.bind(('10.77.2.%d' % (10 + number % 40), 0))
    s.setblocking(False)
    try: s.connect((host, 9279))
    except BlockingIOError: pass
    held.append(s)
    if number % 100 == 99:
        last = select.poll()
        last.register(s, select.POLLOUT)
        last.poll(5000)
    if number % 3 == 0:
        try: s.send(os.urandom(200))
        except OSError: pass
print('flooded', flush=True)
signal.pause()
";
const CONNECTIONS: usize = 10_000;
/// Of the relay, with the program itself.
const MOST_MEMORY_KIB: u64 = 96 * 1024;

fn status(process: &Process, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and network namespaces: the suite `dmz` runs it"]
async fn ten_thousand_connections_take_little_and_cut_no_link() {
    let mut zone = Zone::new("");
    for number in 10..50 {
        let mut address = zone.on(Host::Gateways, Path::new("ip"));
        address.args([
            "address",
            "add",
            &format!("10.77.2.{number}/24"),
            "dev",
            "eth0",
        ]);
        portcullis_tests::harness::run(address);
    }
    let admin = zone.with_both().await;
    let since = |gateway: &portcullis_proto::admin::v1::Gateway| gateway.connected_since_unix_ms;
    let before = since(&admin.gateway("outward").await);
    let mut flood = zone.on(Host::Gateways, Path::new("python3"));
    flood.args(["-c", FLOOD, RELAY_BY_GATEWAYS, &CONNECTIONS.to_string()]);
    let flood = Process::start(flood, &zone.file("flood.log"));
    flood.wait_for_line("flooded");
    zone.both_answer().await;
    assert_eq!(
        since(&admin.gateway("outward").await),
        before,
        "the link was cut"
    );
    let relay = zone.relay.as_ref().unwrap();
    let most = status(relay, "VmHWM:");
    assert!(most < MOST_MEMORY_KIB, "{most} KiB");
    let files = || {
        std::fs::read_dir(format!("/proc/{}/fd", relay.id()))
            .unwrap()
            .count()
    };
    // Two for each connection of `limits.connections`.
    let held = files();
    assert!(held < 2 * 4096 + 100, "{held} files");
    // Whoever comes meanwhile gets through.
    zone.gateways[0].kill();
    zone.gateways[0].start();
    admin
        .gateway_becomes("outward", "back", |gateway| {
            gateway.connected && since(gateway) > before
        })
        .await;
    // It lets go of them in time, though they hold on.
    let few = || async { (files() < 60).then_some(()) };
    eventually("the relay to let go of all", few).await;
    drop(flood);
}
