//! Whole handshakes and the first records after them.

mod form;
mod records;
mod run;
mod values;

pub(super) use form::Direction;
use form::{Inputs, Messages, Records, Vector};
pub(super) use records::direction;
use run::{GATEWAY_NAME, Run};
use values::Values;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::{hex, publish};
use crate::crypto::suites::Suite;
use crate::handshake::Mode;
use crate::id::KeyKind;

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

impl Case {
    /// Whether it is of default mode, in which the master key is delivered.
    fn pairs(&self) -> bool {
        self.mode == Mode::Default
    }
}

#[test]
fn the_committed_handshakes_are_what_the_code_gives() {
    for case in &CASES {
        publish(case.name, &vector(case));
    }
}

fn vector(case: &Case) -> Vector {
    let run = Run::of(case);
    let values = Values::of(case, &run);
    Vector {
        about: case.about.to_owned(),
        mode: case.mode.to_string(),
        suite: case.suite.to_string(),
        suite_number: case.suite.to_wire(),
        key_kind: case.kind.name().to_owned(),
        inputs: inputs(case, &run),
        transcript_hashes: values.transcript_hashes(),
        messages: Messages {
            message_0: run.message0.as_ref().map(hex),
            message_1: hex(&run.message1),
            message_2: hex(&run.message2),
            message_3: hex(&run.message3),
            message_4: hex(&run.message4),
        },
        master_key: values.master_key(case, &run),
        pairing: values.pairing(case, &run),
        x25519_shared_secret: hex(values.shared),
        key_schedule: values.key_schedule(&run),
        install: values.install(case, &run),
        call_values: values.call_values(case, &run),
        records: Records {
            server_to_gateway: direction(run.server.server_to_gateway, case.kind, case.suite),
            gateway_to_server: direction(run.server.gateway_to_server, case.kind, case.suite),
        },
    }
}

fn inputs(case: &Case, run: &Run) -> Inputs {
    let offered = run.offered.iter().map(|id| hex(id.to_bytes()));
    Inputs {
        server_id: hex(run.server_id.to_bytes()),
        gateway_id: hex(run.gateway_id.to_bytes()),
        message_0_name: (case.dial_out && case.pairs()).then(|| GATEWAY_NAME.to_owned()),
        gateway_key: hex(run.gateway_key.expose()),
        key_id: hex(run.master.id.to_bytes()),
        server_nonce: hex(run.server_nonce),
        server_x25519_private: hex(run.server_private),
        server_x25519_share: hex(x25519(run.server_private, X25519_BASEPOINT_BYTES)),
        gateway_nonce: hex(run.gateway_nonce),
        gateway_x25519_private: hex(run.gateway_private),
        gateway_x25519_share: hex(x25519(run.gateway_private, X25519_BASEPOINT_BYTES)),
        session_key: hex(run.session_key.expose()),
        offered_suites: run.suites.iter().map(|suite| suite.to_wire()).collect(),
        offered_key_ids: offered.collect(),
    }
}
