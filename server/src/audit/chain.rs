//! What chains the entries, and what authenticates the head file.

use portcullis_common::crypto::mac::MacKey;
use portcullis_common::id::ServerId;

use rand::Rng;
use zeroize::Zeroizing;

use super::error::Dispute;
use super::head::{Head, Known};
use crate::keys::key_rng::key_rng;
use crate::repository::{
    AUDIT_MAC_LEN, AuditEntry, AuditTip, OpenError, Repository, RepositoryError,
};

const ENTRY: &[u8] = b"portcullis audit entry v1";
/// An entry that is about something in fields of its own: all of the first version, and those.
const ENTRY_WITH_FIELDS: &[u8] = b"portcullis audit entry v2";
const HEAD: &[u8] = b"portcullis audit head v1";
const HEAD_WITH_ROWS: &[u8] = b"portcullis audit head v2";
const HEAD_OF_DATABASE: &[u8] = b"portcullis audit head v3";
const ANCHOR: &[u8] = b"portcullis audit anchor v1";

/// The chain of one repository's log. It has one key as a rule, and a further one from each entry
/// on at which an administrator had to go on without the one before.
#[derive(Debug)]
pub(super) struct Chain {
    server: ServerId,
    segments: Vec<Segment>,
}

#[derive(Debug)]
struct Segment {
    first: u64,
    key: Result<MacKey, Dispute>,
}

impl Chain {
    /// The chain under the keys of `repository`, those that open.
    pub(super) async fn load(
        repository: &Repository,
        server: ServerId,
    ) -> Result<Self, RepositoryError> {
        let keys = repository.audit_entries().keys().await?;
        let segments = keys
            .into_iter()
            .map(|row| Segment {
                first: row.first,
                key: match row.key {
                    Ok(bytes) => bytes
                        .as_slice()
                        .try_into()
                        .map(MacKey::new)
                        .map_err(|_| Dispute::KeyGone),
                    Err(OpenError::UnknownKey { key, .. }) => {
                        Err(Dispute::KeyAway { server_key: key })
                    }
                    Err(OpenError::Malformed(_) | OpenError::Forged(_)) => Err(Dispute::KeyGone),
                },
            })
            .collect();
        Ok(Self { server, segments })
    }

    /// Makes the key for the entries from `first` on, and stores it.
    pub(super) async fn extend(
        repository: &Repository,
        server: ServerId,
        first: u64,
    ) -> Result<Self, RepositoryError> {
        // On the heap, which is wiped when it is freed; an array would leave copies wherever it is
        // moved.
        let mut fresh = Zeroizing::new(vec![0; AUDIT_MAC_LEN]);
        key_rng().fill_bytes(&mut fresh);
        repository.audit_entries().add_key(first, &fresh).await?;
        Self::load(repository, server).await
    }

    /// Why no entry can be chained after `count` others; `None`: one can.
    pub(super) fn lacks_key_after(&self, count: u64) -> Option<Dispute> {
        self.key(count + 1).err()
    }

    /// The MAC of `entry` where `before` is that of the one before.
    ///
    /// # Errors
    /// [`Dispute`] where its key does not open.
    pub(super) fn mac(
        &self,
        before: &[u8],
        entry: &AuditEntry,
    ) -> Result<[u8; AUDIT_MAC_LEN], Dispute> {
        let key = self.key(entry.seq)?;
        let fields = entry.fields.named();
        let fields = fields.iter().filter(|(_, value)| !value.is_empty());
        let count = fields.clone().count() as u64;
        let label = if count == 0 { ENTRY } else { ENTRY_WITH_FIELDS };
        let mut encoded = Encoding::new(label)
            .bytes(&self.server.to_bytes())
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
        encoded = match entry.authority.as_slice() {
            // As entries were before there was such a sum.
            [] => encoded,
            sum => encoded.bytes(sum),
        };
        if count > 0 {
            encoded = encoded.number(count);
            for (name, value) in fields {
                encoded = encoded.bytes(name.as_bytes()).bytes(value.as_bytes());
            }
        }
        Ok(key.tag(&[&encoded.0]).to_bytes())
    }

    /// The head file's content for a log that ends at `tip`; `rows`: its last entry knows the rows
    /// that decide.
    ///
    /// # Errors
    /// [`Dispute`] where its key does not open.
    pub(super) fn head(&self, tip: AuditTip, rows: bool) -> Result<Head, Dispute> {
        self.head_in(tip, rows, None)
    }

    /// The same of a log in this database.
    ///
    /// # Errors
    /// [`Dispute`] where its key does not open.
    pub(super) fn head_in(
        &self,
        tip: AuditTip,
        rows: bool,
        database: Option<Known>,
    ) -> Result<Head, Dispute> {
        let key = self.key(tip.count.max(1))?;
        let encoded = self.encoded_head(tip, rows, database);
        Ok(Head {
            server: self.server,
            tip,
            rows,
            database,
            tag: key.tag(&[&encoded]).to_bytes(),
        })
    }

    /// Whether this chain's key made `head`.
    pub(super) fn made(&self, head: &Head) -> bool {
        let encoded = self.encoded_head(head.tip, head.rows, head.database);
        head.server == self.server
            && self
                .key(head.tip.count.max(1))
                .is_ok_and(|key| key.verify(&[&encoded], &head.tag).is_ok())
    }

    /// As [`Self::made`], of a head that does not say whether it is one with rows.
    pub(super) fn made_either(&self, head: &Head) -> bool {
        [true, false]
            .into_iter()
            .any(|rows| self.made(&Head { rows, ..*head }))
    }

    /// The MAC of the anchor of a log whose entries up to `tip` are archived.
    ///
    /// # Errors
    /// [`Dispute`] where its key does not open.
    pub(super) fn anchor(&self, tip: AuditTip) -> Result<[u8; AUDIT_MAC_LEN], Dispute> {
        let key = self.key(tip.count.max(1))?;
        Ok(key.tag(&[&self.encoded_anchor(tip)]).to_bytes())
    }

    /// Whether this chain's key made that MAC.
    pub(super) fn made_anchor(&self, tip: AuditTip, tag: &[u8; AUDIT_MAC_LEN]) -> bool {
        let encoded = self.encoded_anchor(tip);
        self.key(tip.count.max(1))
            .is_ok_and(|key| key.verify(&[&encoded], tag).is_ok())
    }

    fn encoded_anchor(&self, tip: AuditTip) -> Vec<u8> {
        Encoding::new(ANCHOR)
            .bytes(&self.server.to_bytes())
            .number(tip.count)
            .bytes(&tip.mac)
            .0
    }

    /// The key of the entry `seq`.
    fn key(&self, seq: u64) -> Result<&MacKey, Dispute> {
        let after = self.segments.partition_point(|one| one.first <= seq);
        let segment = after.checked_sub(1).and_then(|at| self.segments.get(at));
        match segment {
            Some(segment) => segment.key.as_ref().map_err(|dispute| *dispute),
            None => Err(Dispute::KeyGone),
        }
    }

    fn encoded_head(&self, tip: AuditTip, rows: bool, database: Option<Known>) -> Vec<u8> {
        let label = match (database, rows) {
            (Some(_), _) => HEAD_OF_DATABASE,
            (None, true) => HEAD_WITH_ROWS,
            (None, false) => HEAD,
        };
        let encoding = Encoding::new(label)
            .bytes(&self.server.to_bytes())
            .number(tip.count)
            .bytes(&tip.mac);
        match database {
            None => encoding.0,
            Some(Known {
                lineage,
                generation,
            }) => {
                encoding
                    .number(u64::from(rows))
                    .number(lineage.system)
                    .number(u64::from(lineage.timeline))
                    .number(generation)
                    .0
            }
        }
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
    use crate::repository::{AuditFields, Lineage};

    /// What this server wrote before entries had fields.
    #[test]
    fn an_entry_without_fields_has_the_mac_that_it_always_had() {
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
            ..AuditEntry::default()
        };
        let mac = Chain::of_key(1).mac(&[7; 32], &entry).unwrap();
        assert_eq!(
            data_encoding::HEXLOWER.encode(&mac),
            "3607a21e097202fdbab9d8bce73c5ea5f6828fba96ad0627bccc15efec19199d"
        );
    }

    impl Chain {
        /// One whose key consists of this byte.
        pub(in crate::audit) fn of_key(byte: u8) -> Self {
            Self {
                server: ServerId::from_array([2; 16]),
                segments: vec![Segment {
                    first: 1,
                    key: Ok(MacKey::new(&[byte; 32])),
                }],
            }
        }
    }

    #[test]
    fn every_field_counts_and_none_runs_into_the_next() {
        let chain = Chain::of_key(1);
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
            authority: vec![1; 32],
            fields: AuditFields::call("c1"),
            mac: Vec::new(),
        };
        let mac = chain.mac(&[7; 32], &entry);
        let changes: [fn(&mut AuditEntry); 12] = [
            |other| other.seq = 4,
            |other| other.commit_first = 2,
            |other| other.authority = vec![2; 32],
            |other| other.authority = Vec::new(),
            |other| other.time_ms = 6,
            |other| other.outcome = "failed".to_owned(),
            |other| other.begun = 2,
            |other| (other.subject, other.action) = ("a".to_owned(), "bcd".to_owned()),
            |other| (other.object, other.detail) = ("efg".to_owned(), "h".to_owned()),
            |other| other.fields = AuditFields::default(),
            |other| other.fields = AuditFields::call("c2"),
            |other| other.fields = AuditFields::resource("c1"),
        ];
        for change in changes {
            let mut other = entry.clone();
            change(&mut other);
            assert_ne!(chain.mac(&[7; 32], &other), mac, "{other:?}");
        }
        assert_ne!(chain.mac(&[8; 32], &entry), mac);
        let elsewhere = Chain::of_key(3);
        assert_ne!(elsewhere.mac(&[7; 32], &entry), mac);
        let head = chain.head(AuditTip::BEGINNING, true).unwrap();
        assert!(chain.made(&head) && !elsewhere.made(&head));
        let known = |system, timeline, generation| Known {
            lineage: Lineage { system, timeline },
            generation,
        };
        let own = known(7, 2, 1);
        let head = chain.head_in(AuditTip::BEGINNING, true, Some(own)).unwrap();
        assert!(chain.made(&head));
        let others = [known(8, 2, 1), known(7, 3, 1), known(7, 2, 2)];
        for database in others.map(Some).into_iter().chain([None]) {
            assert!(!chain.made(&Head { database, ..head }), "{database:?}");
        }
        let rows = false;
        assert!(!chain.made(&Head { rows, ..head }));
    }
}
