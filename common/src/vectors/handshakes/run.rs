//! The handshake of a case, from fixed randomness.

use super::Case;
use crate::crypto::kdf;
use crate::crypto::suites::Suite;
use crate::handshake::{
    Established, InitiatorConfig, Preamble, ResponderConfig, initiator, responder,
};
use crate::held_key::{HeldKey, Identity};
use crate::id::{GatewayId, KeyId, KeyKind, ServerId};
use crate::secret::{GatewayKey, KeyBytes, MasterKey, SessionKey};
use crate::vectors::{Script, fixed};

/// How message 0 of default mode names the gateway.
pub(super) const GATEWAY_NAME: &str = "rack-3.zurich";

/// What went into a handshake, its messages, and what both ends made of them.
pub(super) struct Run {
    pub(super) server_id: ServerId,
    pub(super) gateway_id: GatewayId,
    pub(super) gateway_key: GatewayKey,
    pub(super) master: HeldKey,
    pub(super) server_nonce: [u8; 32],
    pub(super) server_private: [u8; 32],
    pub(super) gateway_nonce: [u8; 32],
    pub(super) gateway_private: [u8; 32],
    pub(super) session_key: SessionKey,
    pub(super) suites: Vec<Suite>,
    pub(super) offered: Vec<KeyId>,
    pub(super) message0: Option<Vec<u8>>,
    pub(super) message1: Vec<u8>,
    pub(super) message2: Vec<u8>,
    pub(super) message3: Vec<u8>,
    pub(super) message4: Vec<u8>,
    pub(super) server: Established,
    pub(super) gateway: Established,
}

impl Run {
    pub(super) fn of(case: &Case) -> Self {
        let (name, kind) = (case.name, case.kind);
        let gateway_id = GatewayId::from_array(fixed(name, "gateway id"));
        let gateway_key = GatewayKey(random_key(name, "gateway key", kind));
        let master = HeldKey {
            id: key_id(name, "key id", kind),
            key: kdf::diversify(&gateway_key, gateway_id),
        };
        let server_id = ServerId::from_array(fixed(name, "server id"));
        let server_nonce: [u8; 32] = fixed(name, "server nonce");
        let server_private: [u8; 32] = fixed(name, "server x25519");
        let gateway_nonce: [u8; 32] = fixed(name, "gateway nonce");
        let gateway_private: [u8; 32] = fixed(name, "gateway x25519");
        let session_random: [u8; 32] = fixed(name, "session key");

        let (server, gateway) = configs(case, server_id, gateway_id, &master);
        let suites = server.suites.clone();
        let mut offered: Vec<_> = server.keys.iter().map(|key| key.id).collect();
        offered.extend(case.pairs().then_some(KeyId::DEFAULT));
        let preamble = preamble(case, gateway_id);

        let mut server_rng = Script::new(&[&server_nonce, &server_private, &session_random]);
        let mut gateway_rng = Script::new(&[&gateway_nonce, &gateway_private]);
        let (message0, gateway) = responder::start(gateway, preamble.as_ref()).unwrap();
        let (message1, server) =
            initiator::start(server, preamble.as_ref(), &mut server_rng).unwrap();
        let (message2, gateway) = gateway.handle(&message1, &mut gateway_rng).unwrap();
        let (message3, server) = server.handle(&message2, &mut server_rng).unwrap();
        let (message4, gateway) = gateway.handle(&message3).unwrap().confirm();
        let server = server.handle(&message4).unwrap();
        assert_eq!(server.info, gateway.info);
        Self {
            server_id,
            gateway_id,
            gateway_key,
            master,
            server_nonce,
            server_private,
            gateway_nonce,
            gateway_private,
            session_key: SessionKey::random(kind, &mut Script::new(&[&session_random])),
            suites,
            offered,
            message0,
            message1,
            message2,
            message3,
            message4,
            server,
            gateway,
        }
    }
}

/// What both ends bring. In secure mode they share an older key, too.
fn configs(
    case: &Case,
    server_id: ServerId,
    gateway_id: GatewayId,
    master: &HeldKey,
) -> (InitiatorConfig, ResponderConfig) {
    let mut suites = vec![case.suite];
    suites.extend(Suite::ALL.into_iter().filter(|suite| *suite != case.suite));
    let older = HeldKey {
        id: key_id(case.name, "older key id", case.kind),
        key: MasterKey(random_key(case.name, "older master key", case.kind)),
    };
    let server = InitiatorConfig {
        server_id,
        suites,
        gateway_id,
        keys: if case.pairs() {
            vec![]
        } else {
            vec![master.clone(), older.clone()]
        },
        pairing: case.pairs().then(|| master.clone()),
    };
    let gateway = ResponderConfig {
        suites: Suite::ALL.to_vec(),
        identity: if case.pairs() {
            Identity::Pairing
        } else {
            Identity::Keyed {
                gateway_id,
                keys: vec![older, master.clone()],
            }
        },
    };
    (server, gateway)
}

fn preamble(case: &Case, gateway_id: GatewayId) -> Option<Preamble> {
    case.dial_out.then(|| {
        if case.pairs() {
            Preamble::Name(GATEWAY_NAME.to_owned())
        } else {
            Preamble::Id(gateway_id)
        }
    })
}

pub(super) fn random_key(case: &str, what: &str, kind: KeyKind) -> KeyBytes {
    KeyBytes::random(kind, &mut Script::new(&[&fixed::<32>(case, what)]))
}

pub(super) fn key_id(case: &str, what: &str, kind: KeyKind) -> KeyId {
    KeyId::random(kind, &mut Script::new(&[&fixed::<16>(case, what)]))
}
