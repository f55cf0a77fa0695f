//! The bytes of a gateway's stored record: magic, version, state, a SHA-256 over all of it.
//!
//! The digest finds damage (it is no defence against one who may write the store: that one may as well erase it).

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::gateway::{GatewayRecord, HeldKey, PairingWindow, RunId, State};
use super::{ENROLMENT_NONCE_LEN, UnixMillis};
use crate::id::{GatewayId, KeyId};
use crate::secret::MasterKey;

const MAGIC: &[u8; 4] = b"PCGK";
const VERSION: u8 = 1;
const DIGEST_LEN: usize = 32;

const EMPTY: u8 = 0;
const ENROLLING: u8 = 1;
const KEYED: u8 = 2;

/// Why a stored record cannot be read. Fatal: the gateway does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It does not begin as a record does.
    #[error("this is no key record of a Portcullis gateway")]
    NoRecord,
    /// It was written by a later version.
    #[error(
        "this key record has version {0}; this program reads version 1: install the newer program again"
    )]
    Version(u8),
    /// It is cut short, or changed.
    #[error("the key record is damaged: restore the disk, or `key reset` and enrol again")]
    Damaged,
}

pub(super) fn encode(record: &GatewayRecord) -> Zeroizing<Vec<u8>> {
    // Large enough that the buffer never moves and leaves a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(512));
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    match &record.state {
        State::Empty { pairing } => {
            out.push(EMPTY);
            out.push(u8::from(pairing.is_some()));
            if let Some(window) = pairing {
                out.extend_from_slice(&window.until.0.to_be_bytes());
                out.push(u8::from(window.claimed_by.is_some()));
                out.extend_from_slice(&window.claimed_by.map_or([0; 16], |run| run.0));
            }
        }
        State::Enrolling {
            gateway_id,
            enrolment,
            nonce,
            pending,
        } => {
            out.push(ENROLLING);
            out.extend_from_slice(&gateway_id.to_bytes());
            encode_key(&mut out, Some(enrolment));
            out.extend_from_slice(nonce);
            encode_key(&mut out, pending.as_ref());
        }
        State::Keyed {
            gateway_id,
            active,
            pending,
        } => {
            out.push(KEYED);
            out.extend_from_slice(&gateway_id.to_bytes());
            encode_key(&mut out, Some(active));
            encode_key(&mut out, pending.as_ref());
        }
    }
    let digest = Sha256::digest(out.as_slice());
    out.extend_from_slice(&digest);
    out
}

fn encode_key(out: &mut Zeroizing<Vec<u8>>, held: Option<&HeldKey>) {
    out.push(u8::from(held.is_some()));
    if let Some(held) = held {
        out.extend_from_slice(&held.id.to_bytes());
        out.extend_from_slice(held.key.expose());
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<GatewayRecord, RecordError> {
    let mut head = Reader(bytes);
    if head.take(MAGIC.len()).map_err(|_| RecordError::NoRecord)? != MAGIC {
        return Err(RecordError::NoRecord);
    }
    match head.byte()? {
        VERSION => {}
        other => return Err(RecordError::Version(other)),
    }
    let body = bytes
        .len()
        .checked_sub(DIGEST_LEN)
        .ok_or(RecordError::Damaged)?;
    let (content, digest) = bytes.split_at(body);
    if Sha256::digest(content).as_slice() != digest {
        return Err(RecordError::Damaged);
    }
    let mut reader = Reader(content.get(MAGIC.len() + 1..).ok_or(RecordError::Damaged)?);
    let state = match reader.byte()? {
        EMPTY => State::Empty {
            pairing: decode_pairing(&mut reader)?,
        },
        ENROLLING => State::Enrolling {
            gateway_id: reader.gateway_id()?,
            enrolment: decode_key(&mut reader)?.ok_or(RecordError::Damaged)?,
            nonce: reader.array::<ENROLMENT_NONCE_LEN>()?,
            pending: decode_key(&mut reader)?,
        },
        KEYED => State::Keyed {
            gateway_id: reader.gateway_id()?,
            active: decode_key(&mut reader)?.ok_or(RecordError::Damaged)?,
            pending: decode_key(&mut reader)?,
        },
        _ => return Err(RecordError::Damaged),
    };
    if reader.0.is_empty() {
        Ok(GatewayRecord { state })
    } else {
        Err(RecordError::Damaged)
    }
}

fn decode_pairing(reader: &mut Reader<'_>) -> Result<Option<PairingWindow>, RecordError> {
    if !reader.flag()? {
        return Ok(None);
    }
    let until = UnixMillis(u64::from_be_bytes(reader.array()?));
    let claimed = reader.flag()?;
    let run = RunId(reader.array()?);
    Ok(Some(PairingWindow {
        until,
        claimed_by: claimed.then_some(run),
    }))
}

fn decode_key(reader: &mut Reader<'_>) -> Result<Option<HeldKey>, RecordError> {
    if !reader.flag()? {
        return Ok(None);
    }
    let id = KeyId::from_bytes(reader.take(KeyId::LEN)?).ok_or(RecordError::Damaged)?;
    let key = reader.take(id.kind().key_len())?;
    let key = MasterKey::from_bytes(id.kind(), key).map_err(|_| RecordError::Damaged)?;
    let held = HeldKey { id, key };
    if !held.is_sound() {
        return Err(RecordError::Damaged);
    }
    Ok(Some(held))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(RecordError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.take(N)?.try_into().map_err(|_| RecordError::Damaged)
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn flag(&mut self) -> Result<bool, RecordError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::Damaged),
        }
    }

    fn gateway_id(&mut self) -> Result<GatewayId, RecordError> {
        let id = GatewayId::from_array(self.array()?);
        if id == GatewayId::NONE {
            return Err(RecordError::Damaged);
        }
        Ok(id)
    }
}
