//! Fuzz targets, one for each decoder of what comes from outside.
//!
//! `tests/mutations.rs` runs each on mutations of its seeds; `tests/fuzz/run` under libFuzzer,
//! which watches what an input reaches. Both use the same seeds, which `cargo run -p
//! portcullis-fuzz --example seeds` makes from real encodings.
//!
//! A new target is `src/targets/NAME.rs` and its line in `targets/mod.rs`, an entry of [`TARGETS`],
//! its name in `targets!` of `tests/mutations.rs`, and seeds in `seeds/NAME`. `tests/run fuzz`
//! tells what is left out.

mod mutate;
mod planted;
mod targets;

use std::time::Duration;

pub use mutate::mutated;
pub use planted::PLANTED;
use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::peer::PeerConfig;
use portcullis_common::handshake::{InitiatorConfig, ResponderConfig};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, PeerEnds, PeerId, ServerId};
use portcullis_common::record::{Opener, RecordLimits, Sealer};
use portcullis_common::rotation::{HeldKey, Identity};
use portcullis_common::secret::{MasterKey, PeerKey, TrafficSecret};
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

/// A decoder, and what holds of whatever it is given. It panics where that does not hold.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its seeds lie in `seeds/NAME`.
    pub name: &'static str,
    /// Gives it one input.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "call_frames",
        run: targets::call_frames::run,
    },
    Target {
        name: "directory_message",
        run: targets::directory_message::run,
    },
    Target {
        name: "frame_header",
        run: targets::frame_header::run,
    },
    Target {
        name: "gateway_record",
        run: targets::gateway_record::run,
    },
    Target {
        name: "handshake",
        run: targets::handshake::run,
    },
    Target {
        name: "ids",
        run: targets::ids::run,
    },
    Target {
        name: "listing",
        run: targets::listing::run,
    },
    Target {
        name: "message0",
        run: targets::message0::run,
    },
    Target {
        name: "message1",
        run: targets::message1::run,
    },
    Target {
        name: "message2",
        run: targets::message2::run,
    },
    Target {
        name: "message3",
        run: targets::message3::run,
    },
    Target {
        name: "message4",
        run: targets::message4::run,
    },
    Target {
        name: "order",
        run: targets::order::run,
    },
    Target {
        name: "peers",
        run: targets::peers::run,
    },
    Target {
        name: "proxy_answer",
        run: targets::proxy_answer::run,
    },
    Target {
        name: "record_opener",
        run: targets::record_opener::run,
    },
    Target {
        name: "token",
        run: targets::token::run,
    },
];

/// The same numbers each time.
pub fn rng() -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(0)
}

/// What both of two servers bring to a handshake.
pub fn servers() -> PeerConfig {
    let mut rng = ChaCha12Rng::seed_from_u64(2);
    let kind = KeyKind::Aes256;
    let ends = PeerEnds {
        dialler: PeerId::random(&mut rng),
        dialled: PeerId::random(&mut rng),
    };
    let key_id = KeyId::random(kind, &mut rng);
    let key = PeerKey::random(kind, &mut rng);
    PeerConfig::new(ServerId::random(&mut rng), key_id, &key, ends)
}

/// The server's and the gateway's side of a handshake under one key, or in default mode.
pub fn parties(pairing: bool) -> (InitiatorConfig, ResponderConfig) {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let gateway_id = GatewayId::random(&mut rng);
    let held = HeldKey {
        id: KeyId::random(KeyKind::Tdes, &mut rng),
        key: MasterKey::random(KeyKind::Tdes, &mut rng),
    };
    let identity = if pairing {
        Identity::Pairing
    } else {
        Identity::Keyed {
            gateway_id,
            keys: vec![held.clone()],
        }
    };
    let initiator = InitiatorConfig {
        server_id: ServerId::random(&mut rng),
        suites: Suite::ALL.to_vec(),
        gateway_id,
        keys: vec![held.clone()],
        pairing: pairing.then_some(held),
    };
    let responder = ResponderConfig {
        suites: Suite::ALL.to_vec(),
        identity,
    };
    (initiator, responder)
}

/// Both ends of one direction.
pub fn direction(suite: Suite) -> (Sealer, Opener) {
    let limits = RecordLimits::new(Duration::from_secs(600));
    let secret = || TrafficSecret::from_bytes(&[7; 32]);
    (
        Sealer::new(secret(), KeyKind::Tdes, suite, limits),
        Opener::new(secret(), KeyKind::Tdes, suite, limits),
    )
}
