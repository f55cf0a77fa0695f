//! What stands beside the handshake: identifiers, tokens, diversification, the default key, and the
//! retry of a weak key.

use serde::Serialize;

use super::{Script, fixed, hex, publish};
use crate::crypto::kdf;
use crate::crypto::key_wrap;
use crate::id::{GatewayId, KeyId, KeyKind, ServerId};
use crate::rotation::EnrolmentToken;
use crate::secret::{DEFAULT_KEY, GatewayKey, KeyBytes, KeyEncryptionKey};

#[derive(Serialize)]
struct Derivations {
    default_key: String,
    default_key_id: String,
    identifiers: Vec<Identifier>,
    diversified: Vec<Diversified>,
    tokens: Vec<Token>,
    wraps: Vec<Wrap>,
    parity: Vec<Parity>,
    refused_3des_keys: Vec<Refused>,
}

#[derive(Serialize)]
struct Identifier {
    what: &'static str,
    bytes: String,
    text: String,
}

#[derive(Serialize)]
struct Diversified {
    key_kind: &'static str,
    gateway_key: String,
    gateway_id: String,
    prk: String,
    master_key: String,
}

#[derive(Serialize)]
struct Token {
    gateway_id: String,
    key_id: String,
    enrolment_key: String,
    text: String,
}

#[derive(Serialize)]
struct Wrap {
    kek_kind: &'static str,
    kek: String,
    key: String,
    wrapped: String,
}

#[derive(Serialize)]
struct Parity {
    bytes: String,
    key: String,
}

#[derive(Serialize)]
struct Refused {
    why: &'static str,
    key: String,
}

const KINDS: [KeyKind; 2] = [KeyKind::Tdes, KeyKind::Aes256];

#[test]
fn the_committed_derivations_are_what_the_code_gives() {
    publish(
        "derivations",
        &Derivations {
            default_key: hex(DEFAULT_KEY),
            default_key_id: hex(KeyId::DEFAULT.to_bytes()),
            identifiers: identifiers(),
            diversified: KINDS.into_iter().map(diversified).collect(),
            tokens: KINDS.into_iter().map(token).collect(),
            wraps: KINDS
                .into_iter()
                .flat_map(|kek| KINDS.into_iter().map(move |key| wrap(kek, key)))
                .collect(),
            parity: vec![parity()],
            refused_3des_keys: refused(),
        },
    );
}

fn key(what: &str, kind: KeyKind) -> KeyBytes {
    KeyBytes::random(kind, &mut Script::new(&[&fixed::<32>(kind.name(), what)]))
}

fn key_id(what: &str, kind: KeyKind) -> KeyId {
    KeyId::random(kind, &mut Script::new(&[&fixed::<16>(kind.name(), what)]))
}

fn identifiers() -> Vec<Identifier> {
    let gateway = GatewayId::from_array(fixed("identifiers", "gateway"));
    let server = ServerId::from_array(fixed("identifiers", "server"));
    let keys = KINDS.map(|kind| Identifier {
        what: "key",
        bytes: hex(key_id("identifier", kind).to_bytes()),
        text: key_id("identifier", kind).to_string(),
    });
    [
        Identifier {
            what: "gateway",
            bytes: hex(gateway.to_bytes()),
            text: gateway.to_string(),
        },
        Identifier {
            what: "server",
            bytes: hex(server.to_bytes()),
            text: server.to_string(),
        },
    ]
    .into_iter()
    .chain(keys)
    .collect()
}

fn diversified(kind: KeyKind) -> Diversified {
    let gateway_key = GatewayKey(key("gateway key", kind));
    let gateway_id = GatewayId::from_array(fixed(kind.name(), "diversified gateway"));
    Diversified {
        key_kind: kind.name(),
        gateway_key: hex(gateway_key.expose()),
        gateway_id: hex(gateway_id.to_bytes()),
        prk: hex(*kdf::extract_unsalted(&[gateway_key.expose()])),
        master_key: hex(kdf::diversify(&gateway_key, gateway_id).expose()),
    }
}

fn token(kind: KeyKind) -> Token {
    let gateway_id = GatewayId::from_array(fixed(kind.name(), "token gateway"));
    let random: [u8; 16] = fixed(kind.name(), "token key id");
    let secret: [u8; 32] = fixed(kind.name(), "token key");
    let token = EnrolmentToken::random(gateway_id, kind, &mut Script::new(&[&random, &secret]));
    Token {
        gateway_id: hex(gateway_id.to_bytes()),
        key_id: hex(token.key_id().to_bytes()),
        enrolment_key: hex(token.key().expose()),
        text: token.to_text().to_string(),
    }
}

fn wrap(kek_kind: KeyKind, key_kind: KeyKind) -> Wrap {
    let kek = key("kek", kek_kind);
    let wrapped_key = key("wrapped key", key_kind);
    Wrap {
        kek_kind: kek_kind.name(),
        kek: hex(kek.expose()),
        key: hex(wrapped_key.expose()),
        wrapped: hex(key_wrap::wrap(&KeyEncryptionKey(kek), wrapped_key.expose())),
    }
}

fn parity() -> Parity {
    let bytes: [u8; 24] = fixed("parity", "bytes");
    let before = hex(bytes);
    let key = KeyBytes::made(KeyKind::Tdes, |key| key.copy_from_slice(&bytes)).unwrap();
    Parity {
        bytes: before,
        key: hex(key.expose()),
    }
}

fn refused() -> Vec<Refused> {
    let good = key("good key", KeyKind::Tdes);
    let good = good.expose();
    let part = |n: usize| &good[8 * n..8 * n + 8];
    let mut even = good.to_vec();
    even[23] ^= 1;
    let weak = [0x01; 8];
    let semi_weak = [0x01, 0xFE, 0x01, 0xFE, 0x01, 0xFE, 0x01, 0xFE];
    let keys = [
        ("a byte of even parity", even),
        (
            "first and second part equal",
            [part(0), part(0), part(2)].concat(),
        ),
        (
            "second and third part equal",
            [part(0), part(1), part(1)].concat(),
        ),
        (
            "first and third part equal",
            [part(0), part(1), part(0)].concat(),
        ),
        ("a weak part", [part(0), &weak, part(2)].concat()),
        ("a semi-weak part", [part(0), part(1), &semi_weak].concat()),
    ];
    keys.map(|(why, key)| {
        assert!(KeyBytes::new(KeyKind::Tdes, &key).is_err(), "{why}");
        Refused { why, key: hex(key) }
    })
    .into()
}
