//! Secrets inside calls, sealed a second time under keys of their session (PROTOCOL.md, "Secrets in
//! calls").
//!
//! The records of the channel protect what is on the wire. At both ends, however, the message lies
//! in buffers of the transport until other bytes take its place. A value that is sealed here stays
//! secret there, too.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::kdf::{self, Label, PRK_LEN, Purpose};
use crate::crypto::suites::Suite;
use crate::crypto::value_cipher::{MAX_TAG_LEN, SALT_LEN, ValueCipher};
use crate::id::KeyKind;
use crate::secret::locked::LockedBytes;

/// The secret of one session under which values are sealed one by one. Both sides keep it as long
/// as the session lives.
#[derive(Clone)]
pub struct ExporterSecret {
    secret: LockedBytes<PRK_LEN>,
    kind: KeyKind,
    suite: Suite,
}

/// Where in a session a sealed value stands: it opens nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallPlace<'a> {
    /// Which way it goes.
    pub way: Way,
    /// The call that it belongs to.
    pub call_id: &'a str,
    /// Its number among the secrets of the call, or of all its answers: from 0, in the order of the
    /// message.
    pub number: u32,
}

/// Which way a sealed value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// From the server to the gateway.
    Call = 1,
    /// From the gateway to the server.
    Answer = 2,
}

/// A value was not sealed in this session for this place, or was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value was not sealed in this session for this place")]
pub struct NotSealedHere;

impl ExporterSecret {
    pub(super) const fn new(secret: LockedBytes<PRK_LEN>, kind: KeyKind, suite: Suite) -> Self {
        Self {
            secret,
            kind,
            suite,
        }
    }

    /// Seals a value for its place: salt (16) ‖ ciphertext ‖ tag.
    pub fn seal(&self, place: CallPlace<'_>, value: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        // Never longer than this: the buffer does not move while it holds the plaintext.
        let mut sealed = Vec::with_capacity(SALT_LEN + value.len() + MAX_TAG_LEN);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(value);
        self.cipher(&salt)
            .seal(&place.to_bytes(), &mut sealed, SALT_LEN);
        sealed
    }

    /// Opens what [`Self::seal`] gave in the same session for the same place.
    ///
    /// # Errors
    /// [`NotSealedHere`].
    pub fn open(
        &self,
        place: CallPlace<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotSealedHere> {
        let (salt, rest) = sealed.split_first_chunk().ok_or(NotSealedHere)?;
        self.cipher(salt)
            .open(&place.to_bytes(), rest)
            .map_err(|_| NotSealedHere)
    }

    /// The kind of its key is that of the suite, as with records.
    fn cipher(&self, salt: &[u8; SALT_LEN]) -> ValueCipher {
        let label = |purpose| Label {
            purpose,
            kind: self.kind,
            suite: Some(self.suite),
        };
        let kind = match self.suite {
            Suite::TdesCtrHmacSha256 => KeyKind::Tdes,
            Suite::Aes256Gcm => KeyKind::Aes256,
        };
        let key = kdf::derive_key(kind, &self.secret, label(Purpose::CallValueKey), salt);
        ValueCipher::new(&key, || {
            kdf::expand_label(&self.secret, label(Purpose::CallValueMacKey), salt)
        })
    }
}

/// The secrets of one call, or those of all the answers to it, one after the other: each has the
/// next number.
#[derive(Clone, Debug)]
pub struct CallSecrets {
    exporter: ExporterSecret,
    way: Way,
    call_id: String,
    number: u32,
}

impl CallSecrets {
    /// The secrets that go `way` for this call, from the first.
    pub fn new(exporter: &ExporterSecret, way: Way, call_id: &str) -> Self {
        Self {
            exporter: exporter.clone(),
            way,
            call_id: call_id.to_owned(),
            number: 0,
        }
    }

    /// Seals the next one.
    pub fn seal(&mut self, value: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        let sealed = self.exporter.seal(self.place(), value, rng);
        // Four billion are more than one call and its answers hold; beyond, they would not open.
        self.number = self.number.saturating_add(1);
        sealed
    }

    /// Opens the next one.
    ///
    /// # Errors
    /// [`NotSealedHere`].
    pub fn open(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotSealedHere> {
        let opened = self.exporter.open(self.place(), sealed)?;
        self.number = self.number.checked_add(1).ok_or(NotSealedHere)?;
        Ok(opened)
    }

    fn place(&self) -> CallPlace<'_> {
        CallPlace {
            way: self.way,
            call_id: &self.call_id,
            number: self.number,
        }
    }
}

impl CallPlace<'_> {
    /// The call id, of whatever length, comes last.
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.way as u8];
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(self.call_id.as_bytes());
        bytes
    }
}

impl fmt::Debug for ExporterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExporterSecret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: CallPlace<'_> = CallPlace {
        way: Way::Call,
        call_id: "call-1",
        number: 3,
    };

    fn every_exporter(byte: u8) -> impl Iterator<Item = ExporterSecret> {
        let suites = [Suite::TdesCtrHmacSha256, Suite::Aes256Gcm];
        let kinds = [KeyKind::Tdes, KeyKind::Aes256];
        let secret = move || LockedBytes::copy_of(&[byte; 32]);
        suites
            .into_iter()
            .flat_map(move |suite| kinds.map(|kind| ExporterSecret::new(secret(), kind, suite)))
    }

    #[test]
    fn a_value_opens_in_its_session_and_place_only() {
        let rng = &mut rand::rng();
        for (exporter, other) in every_exporter(1).zip(every_exporter(2)) {
            for value in [&b""[..], b"a password", &[7; 5000]] {
                let sealed = exporter.seal(PLACE, value, rng);
                assert_eq!(**exporter.open(PLACE, &sealed).unwrap(), *value);
                assert_ne!(exporter.seal(PLACE, value, rng), sealed);
                assert!(value.len() < 8 || !sealed.windows(8).any(|part| part == &value[..8]));
                assert_eq!(other.open(PLACE, &sealed).unwrap_err(), NotSealedHere);
                let elsewhere = [
                    CallPlace {
                        way: Way::Answer,
                        ..PLACE
                    },
                    CallPlace {
                        call_id: "call-2",
                        ..PLACE
                    },
                    CallPlace {
                        call_id: "",
                        ..PLACE
                    },
                    CallPlace { number: 2, ..PLACE },
                ];
                for place in elsewhere {
                    assert_eq!(exporter.open(place, &sealed).unwrap_err(), NotSealedHere);
                }
            }
        }
    }

    #[test]
    fn secrets_of_a_call_open_in_their_order_only() {
        for exporter in every_exporter(1) {
            let rng = &mut rand::rng();
            let calls = |id| CallSecrets::new(&exporter, Way::Call, id);
            let mut sent = calls("call-1");
            let sealed = [b"first", b"other"].map(|value| sent.seal(value, rng));
            let mut read = calls("call-1");
            assert_eq!(**read.open(&sealed[0]).unwrap(), *b"first");
            assert_eq!(read.open(&sealed[0]).unwrap_err(), NotSealedHere);
            assert_eq!(**read.open(&sealed[1]).unwrap(), *b"other");
            assert!(calls("call-1").open(&sealed[1]).is_err());
            assert!(calls("call-2").open(&sealed[0]).is_err());
            let mut answers = CallSecrets::new(&exporter, Way::Answer, "call-1");
            assert!(answers.open(&sealed[0]).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        for exporter in every_exporter(1) {
            let sealed = exporter.seal(PLACE, b"a password", &mut rand::rng());
            for bit in 0..sealed.len() * 8 {
                let mut changed = sealed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(exporter.open(PLACE, &changed).is_err(), "bit {bit}");
            }
            for len in 0..sealed.len() {
                assert!(
                    exporter.open(PLACE, &sealed[..len]).is_err(),
                    "cut to {len}"
                );
            }
            assert!(exporter.open(PLACE, &[&sealed[..], &[0]].concat()).is_err());
            assert_eq!(format!("{exporter:?}"), "ExporterSecret([redacted])");
        }
    }
}
