//! A link between two servers, and what either of them refuses.

use serde::Serialize;
use sha2::{Digest, Sha256};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::handshakes::{Direction, direction};
use super::{Script, fixed, hex, publish};
use crate::crypto::kdf::{self, Label, Purpose};
use crate::handshake::peer::{self, PeerConfig, SUITE};
use crate::handshake::{Established, PeerPreamble, Preamble, ResponderConfig, responder};
use crate::held_key::{HeldKey, Identity};
use crate::id::{GatewayId, KeyId, KeyKind, PeerEnds, PeerId, ServerId};
use crate::secret::{MasterKey, PeerKey};

const CASE: &str = "peer-link";
const KIND: KeyKind = KeyKind::Aes256;

#[derive(Serialize)]
struct Vector {
    about: &'static str,
    inputs: Inputs,
    messages: [String; 5],
    master_key: String,
    dialled_proof_key: String,
    dialler_proof_key: String,
    session_kek: String,
    root: String,
    session_id: String,
    dialler_to_dialled: Direction,
    dialled_to_dialler: Direction,
    /// Frames that no server takes for message 0, each named after its defect.
    malformed: Vec<Refused>,
    /// Messages 2 that the server which dialled refuses after messages 0 and 1 above.
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Inputs {
    server_id: String,
    dialler: String,
    dialled: String,
    peer_key: String,
    key_id: String,
    dialler_nonce: String,
    dialler_x25519_private: String,
    dialled_nonce: String,
    dialled_x25519_private: String,
    session_key: String,
}

#[derive(Serialize)]
struct Refused {
    why: &'static str,
    frame: String,
}

#[test]
fn the_committed_link_between_servers_is_what_the_code_gives() {
    publish(CASE, &vector());
}

fn vector() -> Vector {
    let run = Run::new();
    let prk = kdf::extract_unsalted(&[run.master.key.expose()]);
    let of_master = |purpose| Label {
        purpose,
        kind: KIND,
        suite: None,
    };
    let proof_key = |purpose| hex(*kdf::expand_label::<32, 0>(&prk, of_master(purpose), &[]));
    let through2: [u8; 32] = Sha256::digest(run.messages[..3].concat()).into();
    let through3: [u8; 32] = Sha256::digest(run.messages[..4].concat()).into();
    let kek = of_master(Purpose::PeerSessionKek);
    let kek = kdf::derive_key(KIND, &prk, kek, &through2);
    let share = x25519(fixed(CASE, "dialled x25519"), X25519_BASEPOINT_BYTES);
    let shared = x25519(fixed(CASE, "dialler x25519"), share);
    let session_key: [u8; 32] = fixed(CASE, "session key");
    let root = kdf::extract(&through3, &[&session_key, &shared]);
    let Established {
        info,
        server_to_gateway,
        gateway_to_server,
        ..
    } = run.dialler;
    Vector {
        about: "a link between two servers: the one that dialled is the initiator",
        inputs: inputs(),
        messages: run.messages.each_ref().map(hex),
        master_key: hex(run.master.key.expose()),
        dialled_proof_key: proof_key(Purpose::DialledProof),
        dialler_proof_key: proof_key(Purpose::DiallerProof),
        session_kek: hex(kek.expose()),
        root: hex(*root),
        session_id: hex(info.session_id),
        dialler_to_dialled: direction(server_to_gateway, KIND, SUITE),
        dialled_to_dialler: direction(gateway_to_server, KIND, SUITE),
        malformed: malformed(&run.messages[0]),
        refused: refused(&run.messages[1]),
    }
}

fn inputs() -> Inputs {
    let ends = ends();
    Inputs {
        server_id: hex(server_id().to_bytes()),
        dialler: hex(ends.dialler.to_bytes()),
        dialled: hex(ends.dialled.to_bytes()),
        peer_key: hex(peer_key().expose()),
        key_id: hex(key_id().to_bytes()),
        dialler_nonce: hex(fixed::<32>(CASE, "dialler nonce")),
        dialler_x25519_private: hex(fixed::<32>(CASE, "dialler x25519")),
        dialled_nonce: hex(fixed::<32>(CASE, "dialled nonce")),
        dialled_x25519_private: hex(fixed::<32>(CASE, "dialled x25519")),
        session_key: hex(fixed::<32>(CASE, "session key")),
    }
}

struct Run {
    messages: [Vec<u8>; 5],
    master: HeldKey,
    dialler: Established,
}

impl Run {
    fn new() -> Self {
        let ([message0, message1], dialler) =
            peer::dial(config(ends()), &mut dialler_rng()).unwrap();
        let dialled = peer::answer(config(ends())).unwrap();
        let (message2, dialled) = dialled.handle(&message1, &mut dialled_rng()).unwrap();
        let session_key: [u8; 32] = fixed(CASE, "session key");
        let (message3, dialler) = dialler
            .handle(&message2, &mut Script::new(&[&session_key]))
            .unwrap();
        let (message4, dialled) = dialled.handle(&message3).unwrap().confirm();
        let dialler = dialler.handle(&message4).unwrap();
        assert_eq!(dialler.info, dialled.info);
        Self {
            messages: [message0, message1, message2, message3, message4],
            master: master(ends()),
            dialler,
        }
    }
}

/// What is wrong with a message 0.
fn malformed(sound: &[u8]) -> Vec<Refused> {
    let changed = |why, change: fn(&mut Vec<u8>)| {
        let mut body = sound[3..].to_vec();
        change(&mut body);
        let frame = [&sound[..1], &(body.len() as u16).to_be_bytes(), &body].concat();
        (why, frame)
    };
    let all = [
        changed("a byte too many", |b| b.push(0)),
        changed("the last byte missing", |b| b.truncate(31)),
        changed("no instance that dialled", |b| b[..16].fill(0)),
        changed("no instance that is dialled", |b| b[16..].fill(0)),
        changed("a link of an instance to itself", |b| {
            b.copy_within(..16, 16)
        }),
        (
            "message 0 of a gateway",
            Preamble::Id(in_place_of_gateway(ends())).encode().unwrap(),
        ),
    ];
    all.into_iter()
        .map(|(why, frame)| {
            assert!(PeerPreamble::decode(&frame).is_err(), "{why}");
            Refused {
                why,
                frame: hex(frame),
            }
        })
        .collect()
}

/// Messages 2 of others than the server that was dialled.
fn refused(message1: &[u8]) -> Vec<Refused> {
    let PeerEnds { dialler, dialled } = ends();
    let of_peer = |ends| {
        let answering = peer::answer(config(ends)).unwrap();
        answering.handle(message1, &mut dialled_rng()).unwrap().0
    };
    let reflected = of_peer(PeerEnds {
        dialler: dialled,
        dialled: dialler,
    });
    let renamed = [&reflected[..3], &dialled.to_bytes(), &reflected[19..]].concat();
    let third = PeerId::from_array(fixed(CASE, "third instance"));
    let all = [
        ("made by the instance that dialled", reflected),
        ("the same, with the instance changed", renamed),
        (
            "of an instance that was not dialled",
            of_peer(PeerEnds {
                dialler,
                dialled: third,
            }),
        ),
        (
            "of the instance that was dialled, to another one",
            of_peer(PeerEnds {
                dialler: third,
                dialled,
            }),
        ),
        ("a gateway's, under the same key", of_gateway(message1)),
    ];
    all.into_iter()
        .map(|(why, frame)| {
            let (_, awaiting) = peer::dial(config(ends()), &mut dialler_rng()).unwrap();
            let rng = &mut Script::new(&[&fixed::<32>(CASE, "session key")]);
            assert!(awaiting.handle(&frame, rng).is_err(), "{why}");
            Refused {
                why,
                frame: hex(frame),
            }
        })
        .collect()
}

fn of_gateway(message1: &[u8]) -> Vec<u8> {
    let config = ResponderConfig {
        suites: vec![SUITE],
        identity: Identity::Keyed {
            gateway_id: in_place_of_gateway(ends()),
            keys: vec![master(ends())],
        },
    };
    let (_, gateway) = responder::start(config, None).unwrap();
    gateway.handle(message1, &mut dialled_rng()).unwrap().0
}

fn dialler_rng() -> Script {
    let nonce: [u8; 32] = fixed(CASE, "dialler nonce");
    Script::new(&[&nonce, &fixed::<32>(CASE, "dialler x25519")])
}

fn dialled_rng() -> Script {
    let nonce: [u8; 32] = fixed(CASE, "dialled nonce");
    Script::new(&[&nonce, &fixed::<32>(CASE, "dialled x25519")])
}

fn config(ends: PeerEnds) -> PeerConfig {
    PeerConfig::new(server_id(), key_id(), &peer_key(), ends)
}

fn master(ends: PeerEnds) -> HeldKey {
    let key: MasterKey = kdf::diversify_for_peers(&peer_key(), &ends);
    HeldKey { id: key_id(), key }
}

fn ends() -> PeerEnds {
    PeerEnds {
        dialler: PeerId::from_array(fixed(CASE, "dialler")),
        dialled: PeerId::from_array(fixed(CASE, "dialled")),
    }
}

fn in_place_of_gateway(ends: PeerEnds) -> GatewayId {
    GatewayId::from_array(ends.dialled.to_bytes())
}

fn server_id() -> ServerId {
    ServerId::from_array(fixed(CASE, "server id"))
}

fn key_id() -> KeyId {
    let id = [&[KIND as u8][..], &fixed::<16>(CASE, "key id")].concat();
    KeyId::from_bytes(&id).unwrap()
}

fn peer_key() -> PeerKey {
    PeerKey::from_bytes(KIND, &fixed::<32>(CASE, "peer key")).unwrap()
}
