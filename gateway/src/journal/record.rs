//! The journal's bytes: a header, then records, each with a MAC that covers the one before it.
//!
//! ```text
//! header   magic (8) ‖ incarnation (16) ‖ created (8) ‖ forgotten (8) ‖ first (8) ‖ MAC (32)
//! record   length (4) ‖ kind (1) ‖ sequence (8) ‖ flushed (8) ‖ body (length) ‖ MAC (32)
//! ```
//!
//! Numbers are little-endian, times milliseconds since 1970; `first` is the sequence of the first
//! record. A MAC is taken over the MAC before it and all of the record, so that none can be
//! removed, moved or taken from another journal. `flushed` is the sequence of the last record that
//! was surely on the disk when this one was written: what is damaged up to there was no write that
//! a failure cut short. A record that says nothing else stands for itself, so that it can be read
//! whatever became of the one before it.

use portcullis_common::crypto::mac::{MacKey, TAG_LEN};
use portcullis_proto::gateway::v1 as wire;
use prost::Message as _;

/// Bytes of a record beside its body.
pub(super) const OVERHEAD: usize = FRONT + TAG_LEN;
/// Bytes of a body at the most.
pub(super) const MAX_BODY: usize = 16 << 10;
/// Bytes before the body.
pub(super) const FRONT: usize = 4 + 1 + 8 + 8;
/// Bytes of the header.
pub(super) const HEADER: usize = HEADER_FRONT + TAG_LEN;

/// The kind of [`Record::Flushed`].
const FLUSHED: u8 = 5;

/// A day, in milliseconds.
const DAY: u64 = 86_400_000;
const MAGIC: [u8; 8] = *b"PCJRNL1\n";
const HEADER_FRONT: usize = 8 + 16 + 8 + 8 + 8;

/// What a journal is, and up to when it has forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Random, made with the journal; a compacted one keeps it.
    pub(super) incarnation: [u8; 16],
    /// Calls that were accepted before this time may be in a former journal.
    pub(super) created: u64,
    /// Calls that were accepted up to this time may have been forgotten.
    pub(super) forgotten: u64,
    /// Of the first record.
    pub(super) first: u64,
}

impl Header {
    pub(super) fn encode(&self, key: &MacKey) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend(MAGIC);
        bytes.extend(self.incarnation);
        for number in [self.created, self.forgotten, self.first] {
            bytes.extend(number.to_le_bytes());
        }
        let tag = key.tag(&[&bytes]).to_bytes();
        bytes.extend(tag);
        bytes
    }

    /// Whether it has forgotten calls of a time that has not come: the clock was set back since.
    pub(super) const fn is_ahead(&self, now: u64) -> bool {
        self.forgotten > now.saturating_add(DAY)
    }

    /// `None`: these are no header of a journal under this key.
    pub(super) fn decode(bytes: &[u8], key: &MacKey) -> Option<Self> {
        let (front, tag) = bytes.split_at_checked(HEADER_FRONT)?;
        key.verify(&[front], tag.get(..TAG_LEN)?).ok()?;
        let (magic, front) = front.split_first_chunk()?;
        let (incarnation, front) = front.split_first_chunk()?;
        let mut numbers = Numbers(front);
        (*magic == MAGIC).then_some(Self {
            incarnation: *incarnation,
            created: numbers.next()?,
            forgotten: numbers.next()?,
            first: numbers.next()?,
        })
    }
}

/// The numbers that bytes begin with.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// The resource may get something of the call from now on.
    Begun(Begun),
    /// What came of a call.
    Ended(Ended),
    /// No call of this id may be begun.
    Barred(Barred),
    /// The server has the outcomes of these.
    Acknowledged(Acknowledged),
    /// All before it is on the disk.
    Flushed,
}

/// A fact of the evidence.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Fact {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// See [`Record::Begun`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Begun {
    /// The server's id.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) server: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) call_id: String,
    /// Of the call's content.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) digest: Vec<u8>,
    #[prost(string, tag = "4")]
    pub(super) connector: String,
    #[prost(string, tag = "5")]
    pub(super) verb: String,
    /// For people.
    #[prost(string, tag = "6")]
    pub(super) object: String,
    #[prost(message, repeated, tag = "7")]
    pub(super) evidence: Vec<Fact>,
    /// When the server took the call on.
    #[prost(uint64, tag = "8")]
    pub(super) accepted: u64,
    #[prost(uint64, tag = "9")]
    pub(super) begun: u64,
}

/// See [`Record::Ended`]. It stands alone once the journal was compacted.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Ended {
    /// The server's id.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) server: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) call_id: String,
    /// Of the call's content.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) digest: Vec<u8>,
    /// Without the call's id and what it answered.
    #[prost(message, optional, tag = "4")]
    pub(super) outcome: Option<wire::Outcome>,
    #[prost(uint64, tag = "5")]
    pub(super) accepted: u64,
    #[prost(uint64, tag = "6")]
    pub(super) begun: u64,
    #[prost(uint64, tag = "7")]
    pub(super) ended: u64,
    /// The server has it, or will never say so.
    #[prost(bool, tag = "8")]
    pub(super) acknowledged: bool,
}

/// See [`Record::Barred`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Barred {
    /// The server's id.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) server: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) call_id: String,
    #[prost(uint64, tag = "3")]
    pub(super) accepted: u64,
    #[prost(uint64, tag = "4")]
    pub(super) barred: u64,
    /// The server has it.
    #[prost(bool, tag = "5")]
    pub(super) acknowledged: bool,
    /// The journal may lack that it was begun.
    #[prost(bool, tag = "6")]
    pub(super) unknown: bool,
}

/// See [`Record::Acknowledged`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Acknowledged {
    /// The server's id.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) server: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    pub(super) call_ids: Vec<String>,
}

impl Record {
    const fn kind(&self) -> u8 {
        match self {
            Self::Begun(_) => 1,
            Self::Ended(_) => 2,
            Self::Barred(_) => 3,
            Self::Acknowledged(_) => 4,
            Self::Flushed => FLUSHED,
        }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        match self {
            Self::Begun(begun) => begun.encode_to_vec(),
            Self::Ended(ended) => ended.encode_to_vec(),
            Self::Barred(barred) => barred.encode_to_vec(),
            Self::Acknowledged(acknowledged) => acknowledged.encode_to_vec(),
            Self::Flushed => Vec::new(),
        }
    }

    /// Bytes of the body.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Begun(begun) => begun.encoded_len(),
            Self::Ended(ended) => ended.encoded_len(),
            Self::Barred(barred) => barred.encoded_len(),
            Self::Acknowledged(acknowledged) => acknowledged.encoded_len(),
            Self::Flushed => 0,
        }
    }

    /// `None`: it is none of this version.
    fn decode(kind: u8, body: &[u8]) -> Option<Self> {
        match kind {
            1 => Begun::decode(body).ok().map(Self::Begun),
            2 => Ended::decode(body).ok().map(Self::Ended),
            3 => Barred::decode(body).ok().map(Self::Barred),
            4 => Acknowledged::decode(body).ok().map(Self::Acknowledged),
            FLUSHED => Some(Self::Flushed),
            _ => None,
        }
    }
}

/// The MAC of what stands before a record.
pub(super) type Link = [u8; TAG_LEN];

/// Appends a record to `bytes`; answers its MAC.
pub(super) fn append(
    bytes: &mut Vec<u8>,
    key: &MacKey,
    link: &Link,
    (sequence, flushed): (u64, u64),
    record: &Record,
) -> Link {
    let body = record.body();
    let start = bytes.len();
    bytes.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.push(record.kind());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(flushed.to_le_bytes());
    bytes.extend(body);
    let written = bytes.get(start..).unwrap_or_default();
    let tag = key.tag(&[before(record.kind(), link), written]).to_bytes();
    bytes.extend(tag);
    tag
}

/// What the MAC of a record of this kind is taken over besides.
fn before(kind: u8, link: &Link) -> &[u8] {
    if kind == FLUSHED { &[] } else { link }
}

/// The front of a record, not yet verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    pub(super) kind: u8,
    pub(super) sequence: u64,
    pub(super) flushed: u64,
    /// Bytes of the body.
    pub(super) length: usize,
}

impl Front {
    /// `None`: no record begins so.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (kind, rest) = rest.split_first()?;
        let mut numbers = Numbers(rest);
        let front = Self {
            kind: *kind,
            sequence: numbers.next()?,
            flushed: numbers.next()?,
            length,
        };
        (length <= MAX_BODY && (1..=FLUSHED).contains(kind)).then_some(front)
    }

    /// Bytes of the whole record.
    pub(super) const fn whole(&self) -> usize {
        OVERHEAD + self.length
    }
}

/// Verifies the whole record that `bytes` begin with, and its MAC.
pub(super) fn verify(bytes: &[u8], key: &MacKey, link: &Link) -> Option<(Front, Record, Link)> {
    let front = Front::decode(bytes)?;
    let (covered, rest) = bytes.split_at_checked(FRONT + front.length)?;
    let tag: &Link = rest.first_chunk()?;
    key.verify(&[before(front.kind, link), covered], tag).ok()?;
    let record = Record::decode(front.kind, covered.get(FRONT..)?)?;
    Some((front, record, *tag))
}
