//! Frames that every receiver refuses, each named after its defect.

use serde::Serialize;

use super::{fixed, hex, publish};
use crate::crypto::suites::Suite;
use crate::handshake::{Mode, Preamble};
use crate::id::{GatewayId, KeyId, KeyKind, ServerId};
use crate::wire::{MAC_LEN, Message1, Message2, Message3, Message4, WrappedDelivery};

#[derive(Serialize)]
struct Malformed {
    message: u8,
    /// For message 3, which has a form in each mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    defect: &'static str,
    frame: String,
}

/// What is changed in a valid frame, with the header's length set anew: number of the message,
/// defect, change of the body.
type Change = (&'static str, fn(&mut Vec<u8>));

#[test]
fn the_committed_malformed_frames_are_refused() {
    let mut all = Vec::new();
    let mut of = |message: u8, mode: Option<Mode>, valid: &[u8], changes: &[Change]| {
        assert!(decodes(message, mode, valid), "message {message}");
        for (defect, change) in changes {
            let mut body = valid[3..].to_vec();
            change(&mut body);
            let frame = [&valid[..1], &(body.len() as u16).to_be_bytes(), &body].concat();
            assert!(
                !decodes(message, mode, &frame),
                "message {message}: {defect}"
            );
            all.push(Malformed {
                message,
                mode: mode.map(|mode| mode.to_string()),
                defect,
                frame: hex(frame),
            });
        }
    };
    let either: [Change; 2] = [
        ("a byte too many", |b| b.push(0)),
        ("the last byte missing", |b| b.truncate(b.len() - 1)),
    ];
    of(0, None, &preamble(Preamble::Id(gateway_id())), &either);
    of(
        0,
        None,
        &preamble(Preamble::Id(gateway_id())),
        &MESSAGE_0_ID,
    );
    of(
        0,
        None,
        &preamble(Preamble::Name("rack 3".to_owned())),
        &MESSAGE_0_NAME,
    );
    of(1, None, &message1(), &either);
    of(1, None, &message1(), &MESSAGE_1);
    of(2, None, &message2(), &either);
    of(2, None, &message2(), &MESSAGE_2);
    for mode in [Mode::Secure, Mode::Default] {
        of(3, Some(mode), &message3(mode), &either);
        of(3, Some(mode), &message3(mode), &MESSAGE_3);
    }
    of(
        3,
        Some(Mode::Default),
        &message3(Mode::Default),
        &MESSAGE_3_DEFAULT,
    );
    of(4, None, &Message4::encode([7; MAC_LEN]), &either);
    publish("malformed", &all);
}

const MESSAGE_0_ID: [Change; 2] = [
    ("an unknown kind", |b| b[0] = 3),
    ("the gateway id that stands for none", |b| b[1..].fill(0)),
];

const MESSAGE_0_NAME: [Change; 4] = [
    ("an empty name", |b| b.truncate(1)),
    ("a name of 65 bytes", |b| b.resize(66, b'a')),
    ("a name that is no UTF-8", |b| b[1] = 0xFF),
    ("a name with a control character", |b| b[1] = b'\n'),
];

const MESSAGE_1: [Change; 9] = [
    ("an unknown version", |b| b[0] = 2),
    ("no suite", |b| {
        b[81] = 0;
        b.drain(82..86);
    }),
    ("nine suites", |b| {
        b[81] = 9;
        b.splice(82..86, [0; 18]);
    }),
    ("an unknown suite", |b| b[83] = 9),
    ("a suite twice", |b| b.copy_within(82..84, 84)),
    ("more key ids than follow", |b| b[86] = 4),
    ("an unknown kind of key", |b| b[87] = 3),
    ("a key id twice", |b| b.copy_within(87..104, 104)),
    ("the default key before another", |b| {
        let default = b.split_off(121);
        b.splice(87..87, default);
    }),
];

const MESSAGE_2: [Change; 6] = [
    ("an unknown mode", |b| b[80] = 2),
    ("default mode with a gateway id and a key id", |b| b[80] = 0),
    ("secure mode without a gateway id", |b| b[..16].fill(0)),
    ("secure mode under the default key", |b| b[82..98].fill(0)),
    ("an unknown kind of key", |b| b[81] = 0),
    ("an unknown suite", |b| b[99] = 0),
];

const MESSAGE_3: [Change; 4] = [
    ("the default key's id", |b| b[1..17].fill(0)),
    ("an unknown kind of key", |b| b[0] = 3),
    ("a wrap of the other kind's length", |b| b[17] = 40),
    ("an empty wrap", |b| {
        b[17] = 0;
        b.drain(18..46);
    }),
];

const MESSAGE_3_DEFAULT: [Change; 2] = [
    ("the gateway id that stands for none", |b| b[46..62].fill(0)),
    ("a delivery in the form of secure mode", |b| {
        drop(b.drain(46..91))
    }),
];

fn decodes(message: u8, mode: Option<Mode>, frame: &[u8]) -> bool {
    match (message, mode) {
        (0, _) => Preamble::decode(frame).is_ok(),
        (1, _) => Message1::decode(frame).is_ok(),
        (2, _) => Message2::decode(frame).is_ok(),
        (3, Some(mode)) => Message3::decode(frame, mode).is_ok(),
        _ => Message4::decode(frame).is_ok(),
    }
}

fn gateway_id() -> GatewayId {
    GatewayId::from_array(fixed("malformed", "gateway id"))
}

fn key_id(what: &str) -> KeyId {
    let id = [&[KeyKind::Tdes as u8][..], &fixed::<16>("malformed", what)].concat();
    KeyId::from_bytes(&id).unwrap()
}

fn preamble(preamble: Preamble) -> Vec<u8> {
    preamble.encode().unwrap()
}

fn message1() -> Vec<u8> {
    let message = Message1 {
        server_id: ServerId::from_array(fixed("malformed", "server id")),
        nonce: fixed("malformed", "server nonce"),
        share: fixed("malformed", "server share"),
        suites: Suite::ALL.to_vec(),
        key_ids: vec![key_id("newer"), key_id("older"), KeyId::DEFAULT],
    };
    message.encode().unwrap()
}

fn message2() -> Vec<u8> {
    let message = Message2 {
        gateway_id: gateway_id(),
        nonce: fixed("malformed", "gateway nonce"),
        share: fixed("malformed", "gateway share"),
        mode: Mode::Secure,
        key_id: key_id("newer"),
        suite: Suite::TdesCtrHmacSha256,
    };
    message.encode(|_| fixed("malformed", "proof"))
}

fn message3(mode: Mode) -> Vec<u8> {
    let message = Message3 {
        key_id: key_id("newer"),
        wrapped_session_key: fixed::<28>("malformed", "session key").to_vec(),
        delivery: (mode == Mode::Default).then(|| WrappedDelivery {
            gateway_id: gateway_id(),
            wrapped_master_key: fixed::<28>("malformed", "master key").to_vec(),
        }),
    };
    message.encode(|_| fixed("malformed", "mac"))
}
