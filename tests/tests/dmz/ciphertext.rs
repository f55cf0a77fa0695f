//! What the relay sees, on its wires and in its memory.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_tests::harness::{Process, Scripts, eventually};

use crate::hosts::{GATEWAYS, Host, RELAY_BY_GATEWAYS, RELAY_BY_SERVER, SERVER, Zone};

/// Writes every packet of every wire of its host into a file, and says when it has begun.
const CAPTURE: &str = "
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
with open(sys.argv[1], 'wb', buffering=0) as out:
    print('capturing', flush=True)
    while True: out.write(s.recv(65535))
";

/// Bytes of memory that are read at once.
const WINDOW: usize = 1 << 20;

impl Zone {
    /// Captures what the relay's host sends and receives, into this file.
    pub(crate) fn capture(&self, file: &str) -> Process {
        let mut command = self.on(Host::Relay, Path::new("python3"));
        command.args(["-c", CAPTURE]).arg(self.file(file));
        let capture = Process::start(command, &self.file("capture.log"));
        capture.wait_for_line("capturing");
        capture
    }

    pub(crate) fn captured(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.file(file)).unwrap()
    }

    /// Whether these bytes are anywhere in the memory of the relay.
    fn relay_holds(&self, bytes: &[u8]) -> bool {
        let id = self.relay.as_ref().unwrap().id();
        let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
        let mut memory = std::fs::File::open(format!("/proc/{id}/mem")).unwrap();
        maps.lines().any(|line| {
            let (range, rest) = line.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
            rest.starts_with('r') && read_finds(&mut memory, from, to, bytes)
        })
    }
}

pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

fn read_finds(memory: &mut std::fs::File, from: u64, to: u64, needle: &[u8]) -> bool {
    // What is not really there, such as [vvar], cannot be read.
    let mut at = from;
    let mut window = vec![0; WINDOW + needle.len()];
    while at < to {
        let length = usize::try_from(to - at).unwrap().min(window.len());
        let part = &mut window[..length];
        if memory.seek(SeekFrom::Start(at)).is_err() || memory.read_exact(part).is_err() {
            return false;
        }
        if contains(part, needle) {
            return true;
        }
        at += WINDOW as u64;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and network namespaces: the suite `dmz` runs it"]
async fn a_relay_carries_both_ways_of_dialling_and_has_ciphertext_alone() {
    let mut zone = Zone::new("");
    let capture = zone.capture("wires");
    let admin = zone.with_both().await;
    zone.both_answer().await;

    // Nobody but the relay reaches either.
    assert!(!zone.reaches(Host::Server, GATEWAYS, 9278));
    assert!(!zone.reaches(Host::Gateways, SERVER, 9279));
    assert!(zone.reaches(Host::Gateways, RELAY_BY_GATEWAYS, 9279));
    assert!(zone.reaches(Host::Server, RELAY_BY_SERVER, 9301));

    let needle = format!("nobody-may-read-{}", std::process::id());
    let mut calls = 0;
    for name in ["outward", "inward"] {
        for number in 0..20 {
            let id = format!("{needle}-{name}-{number}");
            let outcome = admin.call(name, Scripts::call("record", &id)).await;
            assert!(matches!(outcome.result, Some(Came::Done(_))), "{outcome:?}");
            calls += 1;
        }
    }
    assert_eq!(zone.scripts.executed().len(), calls);

    let gateway = admin.gateway("outward").await;
    let id = gateway.gateway_id.strip_prefix("gw-").unwrap();
    let id = data_encoding::HEXLOWER.decode(id.as_bytes()).unwrap();
    let seen = || async { contains(&zone.captured("wires"), &id).then_some(()) };
    eventually("the gateway's id, which is public, on the wire", seen).await;
    let wires = zone.captured("wires");
    assert!(wires.len() > 20_000, "{} bytes", wires.len());
    for secret in [needle.as_bytes(), b"portcullis.gateway.v1", b"grpc-"] {
        assert!(
            !contains(&wires, secret),
            "{}",
            String::from_utf8_lossy(secret)
        );
    }
    assert!(!zone.relay_holds(needle.as_bytes()));
    // The search finds what is there.
    assert!(zone.relay_holds(format!("{GATEWAYS}:9278").as_bytes()));
    drop(capture);
}
