//! Whole handshakes and the first records after them.

use std::io::IoSlice;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::{Script, array, fixed, hex, publish};
use crate::crypto::kdf::{self, Label, Purpose};
use crate::crypto::key_wrap;
use crate::crypto::suites::Suite;
use crate::handshake::{
    CallPlace, InitiatorConfig, Mode, Preamble, ResponderConfig, Way, initiator, responder,
};
use crate::id::{GatewayId, KeyId, KeyKind, ServerId};
use crate::record::{HEADER_LEN, Opener, RecordLimits, Sealer};
use crate::rotation::{HeldKey, Identity};
use crate::secret::{
    DEFAULT_KEY, GatewayKey, KeyEncryptionKey, MasterKey, SessionKey, TrafficSecret,
};
use crate::wire::Message3;

#[derive(Serialize)]
struct Vector {
    about: String,
    mode: String,
    suite: String,
    suite_number: u16,
    key_kind: String,
    inputs: Inputs,
    messages: Messages,
    transcript_hashes: TranscriptHashes,
    master_key: MasterKeyValues,
    #[serde(skip_serializing_if = "Option::is_none")]
    pairing: Option<Pairing>,
    x25519_shared_secret: String,
    key_schedule: KeySchedule,
    install: Install,
    call_values: Vec<CallValue>,
    records: Records,
}

#[derive(Serialize)]
struct Inputs {
    server_id: String,
    gateway_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_0_name: Option<String>,
    gateway_key: String,
    key_id: String,
    server_nonce: String,
    server_x25519_private: String,
    server_x25519_share: String,
    gateway_nonce: String,
    gateway_x25519_private: String,
    gateway_x25519_share: String,
    session_key: String,
    offered_suites: Vec<u16>,
    offered_key_ids: Vec<String>,
}

/// Whole frames.
#[derive(Serialize)]
struct Messages {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_0: Option<String>,
    message_1: String,
    message_2: String,
    message_3: String,
    message_4: String,
}

#[derive(Serialize)]
struct TranscriptHashes {
    message_2_without_proof: String,
    through_message_2: String,
    message_3_without_mac: String,
    through_message_3: String,
}

#[derive(Serialize)]
struct MasterKeyValues {
    master_key: String,
    prk: String,
    /// From the master key, or in default mode from the default key.
    gateway_proof_key: String,
    server_proof_key: String,
    session_kek: String,
    wrapped_session_key: String,
}

#[derive(Serialize)]
struct Pairing {
    default_key: String,
    prk: String,
    pairing_kek: String,
    wrapped_master_key: String,
}

#[derive(Serialize)]
struct KeySchedule {
    root: String,
    finished_key: String,
    server_to_gateway: String,
    gateway_to_server: String,
    install_secret: String,
    exporter_secret: String,
    session_id: String,
}

#[derive(Serialize)]
struct Install {
    new_key_id: String,
    new_master_key: String,
    install_kek: String,
    wrapped_master_key: String,
}

/// A secret inside a call, or inside an answer.
#[derive(Serialize)]
struct CallValue {
    way: u8,
    call_id: &'static str,
    number: u32,
    value: String,
    salt: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac_key: Option<String>,
    sealed: String,
}

#[derive(Serialize)]
struct Records {
    server_to_gateway: Direction,
    gateway_to_server: Direction,
}

#[derive(Serialize)]
struct Direction {
    epochs: Vec<Epoch>,
    records: Vec<Record>,
}

#[derive(Serialize)]
struct Epoch {
    traffic_secret: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<String>,
}

#[derive(Serialize)]
struct Record {
    epoch: usize,
    sequence: u64,
    plaintext: String,
    record: String,
}

struct Case {
    name: &'static str,
    about: &'static str,
    mode: Mode,
    kind: KeyKind,
    suite: Suite,
    dial_out: bool,
}

const CASES: [Case; 7] = [
    Case {
        name: "secure-3des",
        about: "secure mode, 3DES suite: the server dialled",
        mode: Mode::Secure,
        kind: KeyKind::Tdes,
        suite: Suite::TdesCtrHmacSha256,
        dial_out: false,
    },
    Case {
        name: "secure-aes-256-gcm",
        about: "secure mode under a 3DES master key, AES suite",
        mode: Mode::Secure,
        kind: KeyKind::Tdes,
        suite: Suite::Aes256Gcm,
        dial_out: false,
    },
    Case {
        name: "secure-aes-256-master-key",
        about: "secure mode under an AES-256 master key, AES suite: nothing of 3DES is left",
        mode: Mode::Secure,
        kind: KeyKind::Aes256,
        suite: Suite::Aes256Gcm,
        dial_out: false,
    },
    Case {
        name: "secure-dial-out",
        about: "secure mode, 3DES suite: the gateway dialled, and message 0 names it by its id",
        mode: Mode::Secure,
        kind: KeyKind::Tdes,
        suite: Suite::TdesCtrHmacSha256,
        dial_out: true,
    },
    Case {
        name: "default-3des",
        about: "default mode, 3DES suite: the server dialled, and delivers a 3DES master key",
        mode: Mode::Default,
        kind: KeyKind::Tdes,
        suite: Suite::TdesCtrHmacSha256,
        dial_out: false,
    },
    Case {
        name: "default-aes-256-gcm",
        about: "default mode, AES suite: the server dialled, and delivers an AES-256 master key",
        mode: Mode::Default,
        kind: KeyKind::Aes256,
        suite: Suite::Aes256Gcm,
        dial_out: false,
    },
    Case {
        name: "default-dial-out",
        about: "default mode, 3DES suite: the gateway dialled, and message 0 names it by its name",
        mode: Mode::Default,
        kind: KeyKind::Tdes,
        suite: Suite::TdesCtrHmacSha256,
        dial_out: true,
    },
];

#[test]
fn the_committed_handshakes_are_what_the_code_gives() {
    for case in &CASES {
        publish(case.name, &vector(case));
    }
}

fn vector(case: &Case) -> Vector {
    let name = case.name;
    let kind = case.kind;
    let server_id = ServerId::from_array(fixed(name, "server id"));
    let gateway_id = GatewayId::from_array(fixed(name, "gateway id"));
    let gateway_key = GatewayKey(random_key(name, "gateway key", kind));
    let key_id = KeyId::random(kind, &mut Script::new(&[&fixed::<16>(name, "key id")]));
    let older_id = KeyId::random(
        kind,
        &mut Script::new(&[&fixed::<16>(name, "older key id")]),
    );
    let master = HeldKey {
        id: key_id,
        key: kdf::diversify(&gateway_key, gateway_id),
    };
    let older = HeldKey {
        id: older_id,
        key: MasterKey(random_key(name, "older master key", kind)),
    };
    let server_nonce: [u8; 32] = fixed(name, "server nonce");
    let server_private: [u8; 32] = fixed(name, "server x25519");
    let gateway_nonce: [u8; 32] = fixed(name, "gateway nonce");
    let gateway_private: [u8; 32] = fixed(name, "gateway x25519");
    let session_random: [u8; 32] = fixed(name, "session key");
    let session_key = SessionKey::random(kind, &mut Script::new(&[&session_random]));

    let pairing = case.mode == Mode::Default;
    let gateway_name = "rack 3 / Zürich";
    let preamble = case.dial_out.then(|| {
        if pairing {
            Preamble::Name(gateway_name.to_owned())
        } else {
            Preamble::Id(gateway_id)
        }
    });
    let mut suites = vec![case.suite];
    suites.extend(Suite::ALL.into_iter().filter(|suite| *suite != case.suite));
    let server = InitiatorConfig {
        server_id,
        suites: suites.clone(),
        gateway_id,
        keys: if pairing {
            vec![]
        } else {
            vec![master.clone(), older.clone()]
        },
        pairing: pairing.then(|| master.clone()),
    };
    let gateway = ResponderConfig {
        suites: Suite::ALL.to_vec(),
        identity: if pairing {
            Identity::Pairing
        } else {
            Identity::Keyed {
                gateway_id,
                keys: vec![older, master.clone()],
            }
        },
    };
    let mut offered: Vec<_> = server.keys.iter().map(|key| key.id).collect();
    offered.extend(pairing.then_some(KeyId::DEFAULT));

    let mut server_rng = Script::new(&[&server_nonce, &server_private, &session_random]);
    let mut gateway_rng = Script::new(&[&gateway_nonce, &gateway_private]);
    let (message0, gateway) = responder::start(gateway, preamble.as_ref()).unwrap();
    let (message1, server) = initiator::start(server, preamble.as_ref(), &mut server_rng).unwrap();
    let (message2, gateway) = gateway.handle(&message1, &mut gateway_rng).unwrap();
    let (message3, server) = server.handle(&message2, &mut server_rng).unwrap();
    let gateway = gateway.handle(&message3).unwrap();
    let (message4, gateway) = gateway.confirm();
    let server = server.handle(&message4).unwrap();
    assert_eq!(server.info, gateway.info);

    // From here on, every value is computed a second time, beside the code that made the messages.
    let before2 = [message0.as_deref().unwrap_or_default(), &message1].concat();
    let through2 = [&before2[..], &message2].concat();
    let through3 = [&through2[..], &message3].concat();
    let hash = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
    let through_message_2 = hash(&through2);
    let through_message_3 = hash(&through3);

    let label = |purpose, kind| Label {
        purpose,
        kind,
        suite: None,
    };
    let prk = kdf::extract_unsalted(&[master.key.expose()]);
    let default_prk = kdf::extract_unsalted(&[&DEFAULT_KEY]);
    let (proof_prk, proof_kind) = if pairing {
        (&default_prk, KeyKind::Tdes)
    } else {
        (&prk, kind)
    };
    let gateway_proof_key: [u8; 32] =
        *kdf::expand_label(proof_prk, label(Purpose::GatewayProof, proof_kind), &[]);
    let server_proof_key: [u8; 32] =
        *kdf::expand_label(&prk, label(Purpose::ServerProof, kind), &[]);
    let session_kek = kdf::derive_key(
        kind,
        &prk,
        label(Purpose::SessionKek, kind),
        &through_message_2,
    );
    let shared = x25519(
        server_private,
        x25519(gateway_private, X25519_BASEPOINT_BYTES),
    );
    let (sent3, _) = Message3::decode(&message3, case.mode).unwrap();

    let scheduled = |purpose| Label {
        purpose,
        kind,
        suite: Some(case.suite),
    };
    let root = kdf::extract(&through_message_3, &[session_key.expose(), &shared]);
    let finished_key: [u8; 32] = *kdf::expand_label(&root, scheduled(Purpose::Finished), &[]);
    let install_secret: [u8; 32] =
        *kdf::expand_label(&root, scheduled(Purpose::InstallSecret), &[]);
    let exporter_secret: [u8; 32] =
        *kdf::expand_label(&root, scheduled(Purpose::ExporterSecret), &[]);
    let session_id: [u8; 8] = *kdf::expand_label(&root, scheduled(Purpose::SessionId), &[]);
    assert_eq!(session_id, server.info.session_id);

    let new_id = KeyId::random(
        KeyKind::Aes256,
        &mut Script::new(&[&fixed::<16>(name, "new key id")]),
    );
    let new_key = MasterKey(random_key(name, "new master key", KeyKind::Aes256));
    let install_kek = kdf::derive_key(
        kind,
        &install_secret,
        scheduled(Purpose::InstallKek),
        &new_id.to_bytes(),
    );
    let wrapped = server.install.wrap_master_key(new_id, &new_key);
    let opened = gateway.install.unwrap_master_key(new_id, &wrapped).unwrap();
    assert_eq!(opened.expose(), new_key.expose());

    Vector {
        about: case.about.to_owned(),
        mode: case.mode.to_string(),
        suite: case.suite.to_string(),
        suite_number: case.suite.to_wire(),
        key_kind: kind.name().to_owned(),
        inputs: Inputs {
            server_id: hex(server_id.to_bytes()),
            gateway_id: hex(gateway_id.to_bytes()),
            message_0_name: (case.dial_out && pairing).then(|| gateway_name.to_owned()),
            gateway_key: hex(gateway_key.expose()),
            key_id: hex(key_id.to_bytes()),
            server_nonce: hex(server_nonce),
            server_x25519_private: hex(server_private),
            server_x25519_share: hex(x25519(server_private, X25519_BASEPOINT_BYTES)),
            gateway_nonce: hex(gateway_nonce),
            gateway_x25519_private: hex(gateway_private),
            gateway_x25519_share: hex(x25519(gateway_private, X25519_BASEPOINT_BYTES)),
            session_key: hex(session_key.expose()),
            offered_suites: suites.iter().map(|suite| suite.to_wire()).collect(),
            offered_key_ids: offered.iter().map(|id| hex(id.to_bytes())).collect(),
        },
        transcript_hashes: TranscriptHashes {
            message_2_without_proof: hex(hash(&through2[..through2.len() - 32])),
            through_message_2: hex(through_message_2),
            message_3_without_mac: hex(hash(&through3[..through3.len() - 32])),
            through_message_3: hex(through_message_3),
        },
        messages: Messages {
            message_0: message0.as_ref().map(hex),
            message_1: hex(&message1),
            message_2: hex(&message2),
            message_3: hex(&message3),
            message_4: hex(&message4),
        },
        master_key: MasterKeyValues {
            master_key: hex(master.key.expose()),
            prk: hex(*prk),
            gateway_proof_key: hex(gateway_proof_key),
            server_proof_key: hex(server_proof_key),
            wrapped_session_key: hex(&sent3.wrapped_session_key),
            session_kek: hex(session_kek.expose()),
        },
        pairing: sent3.delivery.map(|delivery| {
            let prk = kdf::extract_unsalted(&[&DEFAULT_KEY, &shared]);
            let purpose = label(Purpose::PairingKek, kind);
            let kek = kdf::derive_key(kind, &prk, purpose, &through_message_2);
            let shown = hex(kek.expose());
            let wrapped = key_wrap::wrap(&KeyEncryptionKey(kek), master.key.expose());
            assert_eq!(wrapped, delivery.wrapped_master_key);
            Pairing {
                default_key: hex(DEFAULT_KEY),
                prk: hex(*prk),
                pairing_kek: shown,
                wrapped_master_key: hex(wrapped),
            }
        }),
        x25519_shared_secret: hex(shared),
        key_schedule: KeySchedule {
            root: hex(*root),
            finished_key: hex(finished_key),
            server_to_gateway: hex(server.server_to_gateway.expose()),
            gateway_to_server: hex(server.gateway_to_server.expose()),
            install_secret: hex(install_secret),
            exporter_secret: hex(exporter_secret),
            session_id: hex(session_id),
        },
        install: Install {
            new_key_id: hex(new_id.to_bytes()),
            new_master_key: hex(new_key.expose()),
            install_kek: hex(install_kek.expose()),
            wrapped_master_key: hex(wrapped),
        },
        call_values: [(Way::Call, 0), (Way::Answer, 1)]
            .map(|(way, number)| {
                let place = CallPlace {
                    way,
                    call_id: "pc-1",
                    number,
                };
                let value = b"correct horse battery staple";
                let salt: [u8; 16] = fixed(name, &format!("salt {number}"));
                let sealed = server
                    .exporter
                    .seal(place, value, &mut Script::new(&[&salt]));
                assert_eq!(**gateway.exporter.open(place, &sealed).unwrap(), *value);
                let (key_kind, has_mac) = match case.suite {
                    Suite::TdesCtrHmacSha256 => (KeyKind::Tdes, true),
                    Suite::Aes256Gcm => (KeyKind::Aes256, false),
                };
                let purpose = scheduled(Purpose::CallValueKey);
                let key = kdf::derive_key(key_kind, &exporter_secret, purpose, &salt);
                let purpose = scheduled(Purpose::CallValueMacKey);
                let mac_key = kdf::expand_label::<32, 16>(&exporter_secret, purpose, &salt);
                CallValue {
                    way: way as u8,
                    call_id: place.call_id,
                    number,
                    value: hex(value),
                    salt: hex(salt),
                    key: hex(key.expose()),
                    mac_key: has_mac.then(|| hex(*mac_key)),
                    sealed: hex(sealed),
                }
            })
            .into(),
        records: Records {
            server_to_gateway: direction(server.server_to_gateway, kind, case.suite),
            gateway_to_server: direction(server.gateway_to_server, kind, case.suite),
        },
    }
}

fn random_key(case: &str, what: &str, kind: KeyKind) -> crate::secret::KeyBytes {
    crate::secret::KeyBytes::random(kind, &mut Script::new(&[&fixed::<32>(case, what)]))
}

/// Two data records, a key update because of the epoch's age, one more data record, and the close.
fn direction(secret: TrafficSecret, kind: KeyKind, suite: Suite) -> Direction {
    let age = Duration::from_secs(600);
    let limits = RecordLimits::new(age);
    let mut sealer = Sealer::new(secret.clone(), kind, suite, limits);
    let mut opener = Opener::new(secret.clone(), kind, suite, limits);
    let plaintexts: [&[u8]; 3] = [
        b"PRI",
        b"a record that begins within a cipher block",
        b"under the next key",
    ];
    let mut wire = Vec::new();
    for (text, now) in plaintexts
        .into_iter()
        .zip([Duration::ZERO, Duration::ZERO, age])
    {
        sealer.data(now, &[IoSlice::new(text)], &mut wire).unwrap();
    }
    sealer.close(&mut wire).unwrap();

    let mut records = Vec::new();
    let (mut rest, mut epoch, mut sequence) = (&wire[..], 0, 0);
    while !rest.is_empty() {
        let header = opener.header(array(&rest[..HEADER_LEN])).unwrap();
        let (record, after) = rest.split_at(HEADER_LEN + header.body_len());
        let mut body = record[HEADER_LEN..].to_vec();
        let opened = opener.open(header, &mut body).unwrap();
        let plaintext = match &opened {
            crate::record::Opened::Data(text) => hex(&**text),
            crate::record::Opened::KeyUpdate | crate::record::Opened::Close => String::new(),
        };
        records.push(Record {
            epoch,
            sequence,
            plaintext,
            record: hex(record),
        });
        if opened == crate::record::Opened::KeyUpdate {
            epoch += 1;
        }
        (rest, sequence) = (after, sequence + 1);
    }
    assert_eq!((epoch, sequence), (1, 5));

    let label = |purpose| Label {
        purpose,
        kind,
        suite: Some(suite),
    };
    let next = kdf::expand_label(secret.expose(), label(Purpose::NextTrafficSecret), &[]);
    let epochs = [*secret.expose(), *next]
        .map(|secret| match suite {
            Suite::TdesCtrHmacSha256 => Epoch {
                traffic_secret: hex(secret),
                key: hex(
                    kdf::derive_key(KeyKind::Tdes, &secret, label(Purpose::TrafficKey), &[])
                        .expose(),
                ),
                mac_key: Some(hex(*kdf::expand_label::<32, 0>(
                    &secret,
                    label(Purpose::TrafficMacKey),
                    &[],
                ))),
                iv: None,
            },
            Suite::Aes256Gcm => Epoch {
                traffic_secret: hex(secret),
                key: hex(*kdf::expand_label::<32, 0>(
                    &secret,
                    label(Purpose::TrafficKey),
                    &[],
                )),
                mac_key: None,
                iv: Some(hex(*kdf::expand_label::<12, 0>(
                    &secret,
                    label(Purpose::TrafficIv),
                    &[],
                ))),
            },
        })
        .into();
    Direction { epochs, records }
}
