//! What protects the records of one epoch.

use super::{HEADER_LEN, RecordError, TAG_LEN};
use crate::crypto::gcm::{self, GcmKey};
use crate::crypto::kdf::{Label, Purpose, derive_key, expand_label};
use crate::crypto::keystream::Keystream;
use crate::crypto::mac::MacKey;
use crate::crypto::suites::Suite;
use crate::id::KeyKind;
use crate::secret::TrafficSecret;
use crate::secret::locked::LockedBytes;

const IV_LEN: usize = gcm::NONCE_LEN;

/// The keys of one epoch, ready for use: the one place that knows how a suite enciphers.
pub(super) enum EpochCipher {
    /// Encrypt-then-MAC.
    TdesCtrHmacSha256 { keystream: Keystream, mac: MacKey },
    Aes256Gcm {
        cipher: GcmKey,
        iv: LockedBytes<IV_LEN>,
    },
}

impl EpochCipher {
    pub(super) fn new(secret: &TrafficSecret, kind: KeyKind, suite: Suite) -> Self {
        let label = |purpose| Label {
            purpose,
            kind,
            suite: Some(suite),
        };
        match suite {
            Suite::TdesCtrHmacSha256 => {
                let derived = derive_key(
                    KeyKind::Tdes,
                    secret.expose(),
                    label(Purpose::TrafficKey),
                    &[],
                );
                let mut key = LockedBytes::<{ portcullis_tdes::KEY_LEN }>::zeroed();
                key.copy_from_slice(derived.expose());
                let mac_key: LockedBytes<32> =
                    expand_label(secret.expose(), label(Purpose::TrafficMacKey), &[]);
                Self::TdesCtrHmacSha256 {
                    keystream: Keystream::new(&key),
                    mac: MacKey::new(&mac_key),
                }
            }
            Suite::Aes256Gcm => {
                let key: LockedBytes<32> =
                    expand_label(secret.expose(), label(Purpose::TrafficKey), &[]);
                let iv: LockedBytes<IV_LEN> =
                    expand_label(secret.expose(), label(Purpose::TrafficIv), &[]);
                Self::Aes256Gcm {
                    cipher: GcmKey::new(&key),
                    iv,
                }
            }
        }
    }

    /// Makes what the next record will need, for when there is nothing else to do.
    pub(super) fn prepare(&mut self) {
        match self {
            Self::TdesCtrHmacSha256 { keystream, .. } => keystream.prepare(),
            Self::Aes256Gcm { .. } => {}
        }
    }

    /// Gives back what can be made again.
    pub(super) fn rest(&mut self) {
        match self {
            Self::TdesCtrHmacSha256 { keystream, .. } => keystream.rest(),
            Self::Aes256Gcm { .. } => {}
        }
    }

    /// Enciphers in place and gives the tag.
    pub(super) fn seal(
        &mut self,
        sequence: u64,
        header: [u8; HEADER_LEN],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LEN], RecordError> {
        match self {
            Self::TdesCtrHmacSha256 { keystream, mac } => {
                keystream.apply(text);
                let full = mac
                    .tag(&[&sequence.to_be_bytes(), &header, text])
                    .to_bytes();
                let mut tag = [0; TAG_LEN];
                tag.copy_from_slice(&full[..TAG_LEN]);
                Ok(tag)
            }
            Self::Aes256Gcm { cipher, iv } => cipher
                .seal(nonce(iv, sequence), &header, text)
                .map_err(|_| RecordError::Length(text.len())),
        }
    }

    /// Verifies and deciphers in place. Where the tag is wrong, `text` holds no plaintext.
    pub(super) fn open(
        &mut self,
        sequence: u64,
        header: [u8; HEADER_LEN],
        text: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), RecordError> {
        match self {
            Self::TdesCtrHmacSha256 { keystream, mac } => {
                // Compares in constant time.
                mac.verify(&[&sequence.to_be_bytes(), &header, text], tag)
                    .map_err(|_| RecordError::Forged)?;
                keystream.apply(text);
                Ok(())
            }
            Self::Aes256Gcm { cipher, iv } => cipher
                .open(nonce(iv, sequence), &header, text, tag)
                .map_err(|_| RecordError::Forged),
        }
    }
}

/// Cipher blocks that `plaintext_len` bytes count for: at least one. Rounded up for each record, so
/// never below what the continuous keystream uses.
pub(super) fn cost(suite: Suite, plaintext_len: usize) -> u64 {
    plaintext_len.div_ceil(block_len(suite)).max(1) as u64
}

/// Bytes of plaintext that `blocks` blocks are the cost of, at most.
pub(super) fn bytes(suite: Suite, blocks: u64) -> usize {
    usize::try_from(blocks).map_or(usize::MAX, |blocks| blocks.saturating_mul(block_len(suite)))
}

const fn block_len(suite: Suite) -> usize {
    match suite {
        Suite::TdesCtrHmacSha256 => portcullis_tdes::BLOCK_LEN,
        Suite::Aes256Gcm => 16,
    }
}

/// The IV xor the sequence number, which stands right-aligned (as in RFC 8446, 5.3).
fn nonce(iv: &[u8; IV_LEN], sequence: u64) -> [u8; IV_LEN] {
    let mut nonce = *iv;
    for (byte, number) in nonce[IV_LEN - 8..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= number;
    }
    nonce
}
