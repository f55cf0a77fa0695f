//! What `tests/suites/processors` runs on emulated processors: the kernel that was chosen, and
//! digests of what the whole core makes.
//!
//! The inputs are the same in every run. The first line is `kernel NAME`, the others are the same
//! on every processor.
#![allow(clippy::expect_used)]

use std::io::IoSlice;
use std::time::Duration;

use portcullis_common::crypto::keystream::Keystream;
use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{InitiatorConfig, ResponderConfig, initiator, responder};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::record::{HEADER_LEN, Opened, Opener, RecordLimits, Sealer};
use portcullis_common::rotation::{HeldKey, Identity};
use portcullis_common::secret::{MasterKey, TrafficSecret};
use portcullis_tdes::{Backend, Features};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

const NOW: Duration = Duration::ZERO;
/// Bytes of records and of keystream: odd ones, around a block, a batch of the kernels, beyond
/// others, the longest record.
const LENGTHS: [usize; 9] = [1, 7, 8, 9, 63, 2_048, 4_097, 8_300, 16_384];

fn main() {
    println!("kernel {}", Backend::fastest().name());
    for backend in Backend::available(Features::detected()) {
        assert_eq!(keystream(backend), keystream(Backend::fastest()));
    }
    println!("keystream {}", keystream(Backend::fastest()));
    for suite in Suite::ALL {
        for kind in [KeyKind::Tdes, KeyKind::Aes256] {
            let (wire, keys) = link(suite, kind);
            println!(
                "{} under a {kind:?} key: handshake {keys}, records {wire}",
                suite.name()
            );
        }
    }
}

fn hex(digest: Sha256) -> String {
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Pieces of every length, one after the other.
fn keystream(backend: Backend) -> String {
    let mut keystream = Keystream::with_backend(b"a key to compare with: 3", backend);
    let mut digest = Sha256::new();
    for len in LENGTHS {
        let mut text = vec![0; len];
        keystream.apply(&mut text);
        digest.update(&text);
    }
    hex(digest)
}

/// Shakes hands under a master key of `kind`, and sends records of every length both ways over what
/// came of it. Digests of the records, and of the handshake's messages.
fn link(suite: Suite, kind: KeyKind) -> (String, String) {
    let mut rng = StdRng::seed_from_u64(1);
    let gateway_id = GatewayId::random(&mut rng);
    let held = HeldKey {
        id: KeyId::random(kind, &mut rng),
        key: MasterKey::random(kind, &mut rng),
    };
    let server = InitiatorConfig {
        server_id: ServerId::random(&mut rng),
        suites: vec![suite],
        gateway_id,
        keys: vec![held.clone()],
        pairing: None,
    };
    let gateway = ResponderConfig {
        suites: vec![suite],
        identity: Identity::Keyed {
            gateway_id,
            keys: vec![held],
        },
    };
    let (_, responder) = responder::start(gateway, None).expect("no preamble");
    let (message1, initiator) = initiator::start(server, None, &mut rng).expect("no preamble");
    let (message2, responder) = responder.handle(&message1, &mut rng).expect("message 1");
    let (message3, initiator) = initiator.handle(&message2, &mut rng).expect("message 2");
    let (message4, gateway) = responder.handle(&message3).expect("message 3").confirm();
    let server = initiator.handle(&message4).expect("message 4");
    let mut handshake = Sha256::new();
    for message in [message1, message2, message3, message4] {
        handshake.update(&message);
    }
    let mut records = Sha256::new();
    for (sender, receiver) in [
        (server.server_to_gateway, gateway.server_to_gateway),
        (gateway.gateway_to_server, server.gateway_to_server),
    ] {
        send(suite, kind, sender, receiver, &mut records);
    }
    (hex(records), hex(handshake))
}

/// Seals, digests and opens. Each record must give back its text.
fn send(
    suite: Suite,
    kind: KeyKind,
    sender: TrafficSecret,
    receiver: TrafficSecret,
    records: &mut Sha256,
) {
    let limits = RecordLimits::new(Duration::from_secs(600));
    let mut sealer = Sealer::new(sender, kind, suite, limits);
    let mut opener = Opener::new(receiver, kind, suite, limits);
    for len in LENGTHS {
        let text = vec![0xA5; len];
        let mut wire = Vec::new();
        let taken = sealer
            .data(NOW, &[IoSlice::new(&text)], &mut wire)
            .expect("far from every limit");
        records.update(&wire);
        let (header, body) = wire
            .split_first_chunk_mut::<HEADER_LEN>()
            .expect("a record has a header");
        let header = opener.header(*header).expect("it was sealed so");
        let opened = opener.open(header, body).expect("it was sealed so");
        assert!(matches!(opened, Opened::Data(opened) if *opened == text[..taken]));
    }
}
