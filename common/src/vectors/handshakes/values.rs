//! Every value of a handshake, computed a second time, beside the code that made the messages.

use sha2::{Digest, Sha256};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::Case;
use super::form::{CallValue, Install, KeySchedule, MasterKeyValues, Pairing, TranscriptHashes};
use super::run::{Run, key_id, random_key};
use crate::crypto::kdf::{self, Label, Purpose};
use crate::crypto::key_wrap;
use crate::crypto::suites::Suite;
use crate::handshake::{CallPlace, Way};
use crate::id::KeyKind;
use crate::secret::{DEFAULT_KEY, KeyEncryptionKey, MasterKey};
use crate::vectors::{Script, fixed, hex};
use crate::wire::Message3;

/// Those that others are computed from.
pub(super) struct Values {
    pub(super) shared: [u8; 32],
    through2: Vec<u8>,
    through3: Vec<u8>,
    root: [u8; 32],
    install_secret: [u8; 32],
    exporter_secret: [u8; 32],
    session_id: [u8; 8],
    finished_key: [u8; 32],
}

impl Values {
    pub(super) fn of(case: &Case, run: &Run) -> Self {
        let message0 = run.message0.as_deref().unwrap_or_default();
        let through2 = [message0, &run.message1, &run.message2].concat();
        let through3 = [&through2[..], &run.message3].concat();
        let gateway_share = x25519(run.gateway_private, X25519_BASEPOINT_BYTES);
        let shared = x25519(run.server_private, gateway_share);
        let root = kdf::extract(&hash(&through3), &[run.session_key.expose(), &shared]);
        let secret =
            |purpose| -> [u8; 32] { *kdf::expand_label(&root, scheduled(case, purpose), &[]) };
        let session_id = *kdf::expand_label(&root, scheduled(case, Purpose::SessionId), &[]);
        assert_eq!(session_id, run.server.info.session_id);
        Self {
            shared,
            through2,
            through3,
            root: *root,
            install_secret: secret(Purpose::InstallSecret),
            exporter_secret: secret(Purpose::ExporterSecret),
            session_id,
            finished_key: secret(Purpose::Finished),
        }
    }

    pub(super) fn transcript_hashes(&self) -> TranscriptHashes {
        let without_mac = |frames: &[u8]| hex(hash(&frames[..frames.len() - 32]));
        TranscriptHashes {
            message_2_without_proof: without_mac(&self.through2),
            through_message_2: hex(hash(&self.through2)),
            message_3_without_mac: without_mac(&self.through3),
            through_message_3: hex(hash(&self.through3)),
        }
    }

    pub(super) fn master_key(&self, case: &Case, run: &Run) -> MasterKeyValues {
        let kind = case.kind;
        let prk = kdf::extract_unsalted(&[run.master.key.expose()]);
        let default_prk = kdf::extract_unsalted(&[&DEFAULT_KEY]);
        let (proof_prk, proof_kind) = if case.pairs() {
            (&default_prk, KeyKind::Tdes)
        } else {
            (&prk, kind)
        };
        let gateway_proof_key: [u8; 32] =
            *kdf::expand_label(proof_prk, label(Purpose::GatewayProof, proof_kind), &[]);
        let server_proof_key: [u8; 32] =
            *kdf::expand_label(&prk, label(Purpose::ServerProof, kind), &[]);
        let purpose = label(Purpose::SessionKek, kind);
        let session_kek = kdf::derive_key(kind, &prk, purpose, &hash(&self.through2));
        let (sent, _) = Message3::decode(&run.message3, case.mode).unwrap();
        MasterKeyValues {
            master_key: hex(run.master.key.expose()),
            prk: hex(*prk),
            gateway_proof_key: hex(gateway_proof_key),
            server_proof_key: hex(server_proof_key),
            wrapped_session_key: hex(&sent.wrapped_session_key),
            session_kek: hex(session_kek.expose()),
        }
    }

    pub(super) fn pairing(&self, case: &Case, run: &Run) -> Option<Pairing> {
        let (sent, _) = Message3::decode(&run.message3, case.mode).unwrap();
        let delivery = sent.delivery?;
        let prk = kdf::extract_unsalted(&[&DEFAULT_KEY, &self.shared]);
        let purpose = label(Purpose::PairingKek, case.kind);
        let kek = kdf::derive_key(case.kind, &prk, purpose, &hash(&self.through2));
        let shown = hex(kek.expose());
        let wrapped = key_wrap::wrap(&KeyEncryptionKey(kek), run.master.key.expose());
        assert_eq!(wrapped, delivery.wrapped_master_key);
        Some(Pairing {
            default_key: hex(DEFAULT_KEY),
            prk: hex(*prk),
            pairing_kek: shown,
            wrapped_master_key: hex(wrapped),
        })
    }

    pub(super) fn key_schedule(&self, run: &Run) -> KeySchedule {
        KeySchedule {
            root: hex(self.root),
            finished_key: hex(self.finished_key),
            server_to_gateway: hex(run.server.server_to_gateway.expose()),
            gateway_to_server: hex(run.server.gateway_to_server.expose()),
            install_secret: hex(self.install_secret),
            exporter_secret: hex(self.exporter_secret),
            session_id: hex(self.session_id),
        }
    }

    pub(super) fn install(&self, case: &Case, run: &Run) -> Install {
        let new_id = key_id(case.name, "new key id", KeyKind::Aes256);
        let new_key = MasterKey(random_key(case.name, "new master key", KeyKind::Aes256));
        let purpose = scheduled(case, Purpose::InstallKek);
        let kek = kdf::derive_key(case.kind, &self.install_secret, purpose, &new_id.to_bytes());
        let wrapped = run.server.install.wrap_master_key(new_id, &new_key);
        let opened = run.gateway.install.unwrap_master_key(new_id, &wrapped);
        assert_eq!(opened.unwrap().expose(), new_key.expose());
        Install {
            new_key_id: hex(new_id.to_bytes()),
            new_master_key: hex(new_key.expose()),
            install_kek: hex(kek.expose()),
            wrapped_master_key: hex(wrapped),
        }
    }

    pub(super) fn call_values(&self, case: &Case, run: &Run) -> Vec<CallValue> {
        let ways = [(Way::Call, 0), (Way::Answer, 1)];
        ways.map(|(way, number)| self.call_value(case, run, way, number))
            .into()
    }

    fn call_value(&self, case: &Case, run: &Run, way: Way, number: u32) -> CallValue {
        let place = CallPlace {
            way,
            call_id: "pc-1",
            number,
        };
        let value = b"correct horse battery staple";
        let salt: [u8; 16] = fixed(case.name, &format!("salt {number}"));
        let exporter = &run.server.exporter;
        let sealed = exporter.seal(place, value, &mut Script::new(&[&salt]));
        let opened = run.gateway.exporter.open(place, &sealed).unwrap();
        assert_eq!(**opened, *value);
        let (key_kind, has_mac) = match case.suite {
            Suite::TdesCtrHmacSha256 => (KeyKind::Tdes, true),
            Suite::Aes256Gcm => (KeyKind::Aes256, false),
        };
        let purpose = scheduled(case, Purpose::CallValueKey);
        let key = kdf::derive_key(key_kind, &self.exporter_secret, purpose, &salt);
        let purpose = scheduled(case, Purpose::CallValueMacKey);
        let mac_key = kdf::expand_label::<32, 16>(&self.exporter_secret, purpose, &salt);
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
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Of what is derived from a master key alone.
fn label(purpose: Purpose, kind: KeyKind) -> Label {
    Label {
        purpose,
        kind,
        suite: None,
    }
}

/// Of what is derived once the suite is chosen.
fn scheduled(case: &Case, purpose: Purpose) -> Label {
    Label {
        purpose,
        kind: case.kind,
        suite: Some(case.suite),
    }
}
