//! What targets and seeds share: fixed parties, keys and randomness, so that the same bytes always do the same.

use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{InitiatorConfig, ResponderConfig};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::record::{Opener, RecordLimits, Sealer};
use portcullis_common::rotation::{HeldKey, Identity};
use portcullis_common::secret::{MasterKey, TrafficSecret};
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

/// The same numbers each time.
pub fn rng() -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(0)
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
