//! What the instruction counts of `tests/instructions/check.py` are counted of: `instructions`
//! prints the names, `instructions NAME` makes everything ready and then does it once, within
//! [`portcullis_measured`].
//!
//! The inputs are the same in every run. The names of backends are those of the processor that it
//! runs on.
#![allow(clippy::expect_used)]

use std::hint::black_box;
use std::io::IoSlice;
use std::time::Duration;

use portcullis_common::crypto::keystream::Keystream;
use portcullis_common::crypto::mac::MacKey;
use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{InitiatorConfig, ResponderConfig, initiator, responder};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::record::{HEADER_LEN, Opener, RecordLimits, Sealer};
use portcullis_common::rotation::{HeldKey, Identity};
use portcullis_common::secret::{MasterKey, TrafficSecret};
use portcullis_tdes::{Backend, Features};
use rand::SeedableRng;
use rand::rngs::StdRng;

const KEY: &[u8; 24] = b"a key to measure with: 3";
/// Bytes that a keystream is added to.
const STREAM: usize = 16 * 1024;
/// Messages sealed or opened: their share of a batch of keystream counts in.
const RECORDS: usize = 64;
const NOW: Duration = Duration::ZERO;

fn main() {
    let works = works();
    match std::env::args().nth(1) {
        Some(name) => {
            let (_, mut ready) = works
                .into_iter()
                .find(|(known, _)| *known == name)
                .expect("one of the names that are printed without an argument");
            let mut work = ready();
            portcullis_measured(&mut *work);
        }
        None => works.iter().for_each(|(name, _)| println!("{name}")),
    }
}

/// What runs within is counted.
#[inline(never)]
fn portcullis_measured(work: &mut dyn FnMut()) {
    work();
}

/// Does it.
type Work = Box<dyn FnMut()>;
/// Makes everything ready for it.
type Ready = Box<dyn FnMut() -> Work>;

fn works() -> Vec<(String, Ready)> {
    let mut works: Vec<(String, Ready)> = Vec::new();
    for backend in Backend::available(Features::detected()) {
        for message in [STREAM, 64] {
            let name = format!(
                "keystream, {}, {message} B messages, 16 KiB",
                backend.name()
            );
            works.push((name, Box::new(move || keystream(backend, message))));
        }
    }
    works.push(("tag, 64 B".into(), Box::new(|| tag(64))));
    works.push(("tag, 1024 B".into(), Box::new(|| tag(1024))));
    for suite in Suite::ALL {
        for len in [64, 1024] {
            let name = |verb| format!("{verb}, {}, {RECORDS} records of {len} B", suite.name());
            works.push((name("seal"), Box::new(move || seal(suite, len))));
            works.push((name("open"), Box::new(move || open(suite, len))));
        }
    }
    works.push(("handshake, both sides".into(), Box::new(handshake)));
    works
}

fn keystream(backend: Backend, message: usize) -> Work {
    let mut keystream = Keystream::with_backend(KEY, backend);
    let mut data = vec![0; STREAM];
    // Memory is there, code is linked.
    keystream.apply(&mut data);
    Box::new(move || {
        for message in data.chunks_mut(message) {
            keystream.apply(message);
        }
        black_box(&data);
    })
}

fn tag(len: usize) -> Work {
    let key = MacKey::new(&[7; 32]);
    let data = vec![0; len];
    let once = move || {
        black_box(key.tag(&[&[0; 8], &[0; 3], &data]).to_bytes());
    };
    once();
    Box::new(once)
}

fn sealer(suite: Suite) -> Sealer {
    Sealer::new(
        TrafficSecret::from_bytes(&[7; 32]),
        KeyKind::Tdes,
        suite,
        limits(),
    )
}

fn limits() -> RecordLimits {
    RecordLimits::new(Duration::from_secs(600))
}

/// Appends so many records to `wire`.
fn seal_all(sealer: &mut Sealer, text: &[u8], wire: &mut Vec<u8>) {
    for _ in 0..RECORDS {
        let sealed = sealer.data(NOW, &[IoSlice::new(text)], wire);
        sealed.expect("far from every limit");
    }
}

fn seal(suite: Suite, len: usize) -> Work {
    let mut sealer = sealer(suite);
    let text = vec![0xA5; len];
    let mut wire = Vec::new();
    seal_all(&mut sealer, &text, &mut wire);
    Box::new(move || {
        wire.clear();
        seal_all(&mut sealer, &text, &mut wire);
        black_box(&wire);
    })
}

fn open(suite: Suite, len: usize) -> Work {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut sealer = sealer(suite);
    let text = vec![0xA5; len];
    seal_all(&mut sealer, &text, &mut first);
    seal_all(&mut sealer, &text, &mut second);
    let secret = TrafficSecret::from_bytes(&[7; 32]);
    let mut opener = Opener::new(secret, KeyKind::Tdes, suite, limits());
    open_all(&mut opener, &mut first);
    Box::new(move || open_all(&mut opener, &mut second))
}

fn open_all(opener: &mut Opener, mut wire: &mut [u8]) {
    while let Some((header, rest)) = wire.split_first_chunk_mut::<HEADER_LEN>() {
        let header = opener.header(*header).expect("it was sealed so");
        let (body, rest) = rest.split_at_mut(header.body_len());
        let opened = opener.open(header, body);
        black_box(opened.expect("it was sealed so"));
        wire = rest;
    }
}

fn handshake() -> Work {
    let mut rng = StdRng::seed_from_u64(1);
    let gateway_id = GatewayId::random(&mut rng);
    let held = HeldKey {
        id: KeyId::random(KeyKind::Tdes, &mut rng),
        key: MasterKey::random(KeyKind::Tdes, &mut rng),
    };
    let server = InitiatorConfig {
        server_id: ServerId::random(&mut rng),
        suites: Suite::ALL.to_vec(),
        gateway_id,
        keys: vec![held.clone()],
        pairing: None,
    };
    let gateway = ResponderConfig {
        suites: Suite::ALL.to_vec(),
        identity: Identity::Keyed {
            gateway_id,
            keys: vec![held],
        },
    };
    let mut once = move || {
        let (_, responder) = responder::start(gateway.clone(), None).expect("no preamble");
        let (message1, initiator) =
            initiator::start(server.clone(), None, &mut rng).expect("no preamble");
        let (message2, responder) = responder.handle(&message1, &mut rng).expect("message 1");
        let (message3, initiator) = initiator.handle(&message2, &mut rng).expect("message 2");
        let (message4, _) = responder.handle(&message3).expect("message 3").confirm();
        black_box(initiator.handle(&message4).expect("message 4"));
    };
    once();
    Box::new(once)
}
