//! What chains the entries, and what authenticates the head file.

use portcullis_common::crypto::mac::MacKey;
use portcullis_common::id::ServerId;

use super::Head;
use crate::repository::{AUDIT_MAC_LEN, AuditEntry, AuditTip};

const BEGINNING: &[u8] = b"portcullis audit beginning v1";
const ENTRY: &[u8] = b"portcullis audit entry v1";
const HEAD: &[u8] = b"portcullis audit head v1";

/// The chain of one repository's log, under its audit key.
#[derive(Debug)]
pub(super) struct Chain {
    key: MacKey,
    server: ServerId,
}

impl Chain {
    pub(super) fn new(key: &[u8; AUDIT_MAC_LEN], server: ServerId) -> Self {
        Self {
            key: MacKey::new(key),
            server,
        }
    }

    /// Before the first entry.
    pub(super) fn beginning(&self) -> AuditTip {
        let parts = Encoding::new(BEGINNING).bytes(&self.server.to_bytes());
        AuditTip {
            count: 0,
            mac: self.key.tag(&[&parts.0]).to_bytes(),
        }
    }

    /// The MAC of `entry` where `before` is that of the one before.
    pub(super) fn mac(&self, before: &[u8], entry: &AuditEntry) -> [u8; AUDIT_MAC_LEN] {
        let encoded = Encoding::new(ENTRY)
            .bytes(before)
            .number(entry.seq)
            .number(entry.commit_first)
            .number(entry.time_ms)
            .bytes(entry.subject.as_bytes())
            .bytes(entry.action.as_bytes())
            .bytes(entry.object.as_bytes())
            .bytes(entry.outcome.as_bytes())
            .number(entry.begun)
            .bytes(entry.detail.as_bytes());
        self.key.tag(&[&encoded.0]).to_bytes()
    }

    /// The head file's content for a log that ends at `tip`.
    pub(super) fn head(&self, tip: AuditTip) -> Head {
        Head {
            server: self.server,
            tip,
            tag: self.key.tag(&[&self.encoded_head(tip)]).to_bytes(),
        }
    }

    /// Whether this chain's key made `head`.
    pub(super) fn made(&self, head: &Head) -> bool {
        head.server == self.server
            && self
                .key
                .verify(&[&self.encoded_head(head.tip)], &head.tag)
                .is_ok()
    }

    fn encoded_head(&self, tip: AuditTip) -> Vec<u8> {
        Encoding::new(HEAD)
            .bytes(&self.server.to_bytes())
            .number(tip.count)
            .bytes(&tip.mac)
            .0
    }
}

/// Numbers as 8 bytes, texts with their length before them: no two entries have the same bytes.
struct Encoding(Vec<u8>);

impl Encoding {
    fn new(label: &[u8]) -> Self {
        Self(Vec::with_capacity(256)).bytes(label)
    }

    fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        let mut out = self.number(bytes.len() as u64);
        out.0.extend_from_slice(bytes);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_counts_and_none_runs_into_the_next() {
        let chain = Chain::new(&[1; 32], ServerId::from_array([2; 16]));
        let entry = AuditEntry {
            seq: 3,
            commit_first: 3,
            time_ms: 5,
            subject: "ab".to_owned(),
            action: "cd".to_owned(),
            object: "ef".to_owned(),
            outcome: "done".to_owned(),
            begun: 1,
            detail: "gh".to_owned(),
            mac: Vec::new(),
        };
        let mac = chain.mac(&[7; 32], &entry);
        let moved = AuditEntry {
            subject: "a".to_owned(),
            action: "bcd".to_owned(),
            ..entry.clone()
        };
        let changed = [
            AuditEntry {
                seq: 4,
                ..entry.clone()
            },
            AuditEntry {
                commit_first: 2,
                ..entry.clone()
            },
            AuditEntry {
                time_ms: 6,
                ..entry.clone()
            },
            AuditEntry {
                outcome: "failed".to_owned(),
                ..entry.clone()
            },
            AuditEntry {
                begun: 2,
                ..entry.clone()
            },
            AuditEntry {
                object: "efg".to_owned(),
                detail: "h".to_owned(),
                ..entry.clone()
            },
            moved,
        ];
        for other in &changed {
            assert_ne!(chain.mac(&[7; 32], other), mac, "{other:?}");
        }
        assert_ne!(chain.mac(&[8; 32], &entry), mac);
        let elsewhere = Chain::new(&[3; 32], ServerId::from_array([2; 16]));
        assert_ne!(elsewhere.mac(&[7; 32], &entry), mac);
        assert!(!elsewhere.made(&chain.head(chain.beginning())));
    }
}
