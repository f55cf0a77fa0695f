//! What a file of vectors says of a handshake.

use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Vector {
    pub(super) about: String,
    pub(super) mode: String,
    pub(super) suite: String,
    pub(super) suite_number: u16,
    pub(super) key_kind: String,
    pub(super) inputs: Inputs,
    pub(super) messages: Messages,
    pub(super) transcript_hashes: TranscriptHashes,
    pub(super) master_key: MasterKeyValues,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pairing: Option<Pairing>,
    pub(super) x25519_shared_secret: String,
    pub(super) key_schedule: KeySchedule,
    pub(super) install: Install,
    pub(super) call_values: Vec<CallValue>,
    pub(super) records: Records,
}

#[derive(Serialize)]
pub(super) struct Inputs {
    pub(super) server_id: String,
    pub(super) gateway_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_0_name: Option<String>,
    pub(super) gateway_key: String,
    pub(super) key_id: String,
    pub(super) server_nonce: String,
    pub(super) server_x25519_private: String,
    pub(super) server_x25519_share: String,
    pub(super) gateway_nonce: String,
    pub(super) gateway_x25519_private: String,
    pub(super) gateway_x25519_share: String,
    pub(super) session_key: String,
    pub(super) offered_suites: Vec<u16>,
    pub(super) offered_key_ids: Vec<String>,
}

/// Whole frames.
#[derive(Serialize)]
pub(super) struct Messages {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_0: Option<String>,
    pub(super) message_1: String,
    pub(super) message_2: String,
    pub(super) message_3: String,
    pub(super) message_4: String,
}

#[derive(Serialize)]
pub(super) struct TranscriptHashes {
    pub(super) message_2_without_proof: String,
    pub(super) through_message_2: String,
    pub(super) message_3_without_mac: String,
    pub(super) through_message_3: String,
}

#[derive(Serialize)]
pub(super) struct MasterKeyValues {
    pub(super) master_key: String,
    pub(super) prk: String,
    /// From the master key, or in default mode from the default key.
    pub(super) gateway_proof_key: String,
    pub(super) server_proof_key: String,
    pub(super) session_kek: String,
    pub(super) wrapped_session_key: String,
}

#[derive(Serialize)]
pub(super) struct Pairing {
    pub(super) default_key: String,
    pub(super) prk: String,
    pub(super) pairing_kek: String,
    pub(super) wrapped_master_key: String,
}

#[derive(Serialize)]
pub(super) struct KeySchedule {
    pub(super) root: String,
    pub(super) finished_key: String,
    pub(super) server_to_gateway: String,
    pub(super) gateway_to_server: String,
    pub(super) install_secret: String,
    pub(super) exporter_secret: String,
    pub(super) session_id: String,
}

#[derive(Serialize)]
pub(super) struct Install {
    pub(super) new_key_id: String,
    pub(super) new_master_key: String,
    pub(super) install_kek: String,
    pub(super) wrapped_master_key: String,
}

/// A secret inside a call, or inside an answer.
#[derive(Serialize)]
pub(super) struct CallValue {
    pub(super) way: u8,
    pub(super) call_id: &'static str,
    pub(super) number: u32,
    pub(super) value: String,
    pub(super) salt: String,
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mac_key: Option<String>,
    pub(super) sealed: String,
}

#[derive(Serialize)]
pub(super) struct Records {
    pub(super) server_to_gateway: Direction,
    pub(super) gateway_to_server: Direction,
}

#[derive(Serialize)]
pub(in crate::vectors) struct Direction {
    pub(super) epochs: Vec<Epoch>,
    pub(super) records: Vec<Record>,
}

#[derive(Serialize)]
pub(super) struct Epoch {
    pub(super) traffic_secret: String,
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mac_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iv: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Record {
    pub(super) epoch: usize,
    pub(super) sequence: u64,
    pub(super) plaintext: String,
    pub(super) record: String,
}
