//! The bytes of a gateway's stored record: magic, version, state, a SHA-256 over all of it.
//!
//! The digest finds damage (it is no defence against one who may write the store: that one may as
//! well erase it).

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::gateway::{GatewayRecord, PairingWindow, RunId, State};
use super::{ENROLMENT_NONCE_LEN, UnixMillis};
use crate::held_key::HeldKey;
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

impl GatewayRecord {
    /// Reads a stored record.
    ///
    /// # Errors
    /// [`RecordError`] where it is damaged or from a later version. That is fatal: it never counts
    /// as "holds no key".
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
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
            Ok(Self { state })
        } else {
            Err(RecordError::Damaged)
        }
    }

    /// The bytes to store. They hold keys.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Large enough that the buffer never moves and leaves a copy behind.
        let mut out = Zeroizing::new(Vec::with_capacity(512));
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        match &self.state {
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
}

fn encode_key(out: &mut Zeroizing<Vec<u8>>, held: Option<&HeldKey>) {
    out.push(u8::from(held.is_some()));
    if let Some(held) = held {
        out.extend_from_slice(&held.id.to_bytes());
        out.extend_from_slice(held.key.expose());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held_key::HeldKey;
    use crate::id::KeyKind;
    use crate::rotation::EnrolmentToken;

    fn held(kind: KeyKind) -> HeldKey {
        HeldKey {
            id: KeyId::random(kind, &mut rand::rng()),
            key: MasterKey::random(kind, &mut rand::rng()),
        }
    }

    /// One record of each shape.
    fn records() -> Vec<GatewayRecord> {
        let mut rng = rand::rng();
        let id = GatewayId::random(&mut rng);
        let token = EnrolmentToken::random(id, KeyKind::Tdes, &mut rng);
        let empty = GatewayRecord::empty();
        let open = empty.open_pairing(UnixMillis(u64::MAX)).unwrap();
        let claimed = open.begin(RunId::random(&mut rng), UnixMillis(0)).store;
        let enrolling = empty.enrol(&token, false, &mut rng).unwrap();
        let installed = enrolling
            .install(token.key_id(), token.key_id(), held(KeyKind::Tdes))
            .unwrap();
        let keyed = |pending| GatewayRecord {
            state: State::Keyed {
                gateway_id: id,
                active: held(KeyKind::Aes256),
                pending,
            },
        };
        vec![
            empty,
            open,
            claimed.unwrap(),
            enrolling,
            installed,
            keyed(None),
            keyed(Some(held(KeyKind::Tdes))),
            keyed(Some(held(KeyKind::Aes256))),
        ]
    }

    #[test]
    fn every_record_is_read_as_it_was_written() {
        for record in records() {
            let bytes = record.encode();
            assert!(bytes.capacity() >= bytes.len() && bytes.len() <= 512);
            let read = GatewayRecord::decode(&bytes).unwrap();
            assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn a_record_cut_short_or_lengthened_is_refused() {
        for record in records() {
            let bytes = record.encode();
            for len in 0..bytes.len() {
                assert!(GatewayRecord::decode(&bytes[..len]).is_err(), "{len} bytes");
            }
            let mut longer = bytes.to_vec();
            longer.push(0);
            assert!(GatewayRecord::decode(&longer).is_err());
        }
    }

    #[test]
    fn a_record_with_any_bit_flipped_is_refused() {
        for record in records() {
            let mut bytes = record.encode().to_vec();
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(GatewayRecord::decode(&bytes).is_err(), "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    /// With a digest that fits: what damage would not do, but an error in a program might.
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

    #[test]
    fn contents_that_no_record_has_are_refused() {
        let sealed = |change: &dyn Fn(&mut Vec<u8>), record: &GatewayRecord| {
            let mut bytes = record.encode().to_vec();
            bytes.truncate(bytes.len() - DIGEST_LEN);
            change(&mut bytes);
            let digest = Sha256::digest(&bytes);
            bytes.extend_from_slice(&digest);
            GatewayRecord::decode(&bytes).map(|_| ())
        };
        let enrolling = &records()[3];
        let state = MAGIC.len() + 1;
        let (id, key) = (state + 1, state + 1 + GatewayId::LEN + 1);
        assert_eq!(sealed(&|_| {}, enrolling), Ok(()));
        let cases: [(&str, Change); 7] = [
            ("an unknown state", &|b| b[state] = 9),
            ("the id of no gateway", &|b| b[id..id + 16].fill(0)),
            ("no enrolment key", &|b| b[key - 1] = 0),
            ("a flag that is none", &|b| b[key - 1] = 2),
            ("a kind that is none", &|b| b[key] = 3),
            ("the default key's id", &|b| {
                b[key..key + KeyId::LEN].copy_from_slice(&KeyId::DEFAULT.to_bytes());
            }),
            ("bytes left over", &|b| b.push(0)),
        ];
        for (what, change) in cases {
            assert_eq!(
                sealed(change, enrolling),
                Err(RecordError::Damaged),
                "{what}"
            );
        }
        assert_eq!(
            sealed(&|b| b[MAGIC.len()] = 2, enrolling),
            Err(RecordError::Version(2))
        );
        assert_eq!(sealed(&|b| b[0] = 0, enrolling), Err(RecordError::NoRecord));
    }
}
