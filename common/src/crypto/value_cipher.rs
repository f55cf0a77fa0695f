//! One value, sealed under keys of its own. Under 3DES it is enciphered in counter mode, then
//! authenticated with HMAC-SHA256 (32-byte tag); under AES-256 it is sealed with GCM (16-byte tag).
//! Counter and nonce start at zero: the keys are derived with a random salt, and serve one value
//! only.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

use super::keystream::Keystream;
use super::mac::{self, MacKey};
use crate::secret::KeyBytes;
use crate::secret::locked::{Locked, LockedBytes};

/// Bytes of the salt with which the keys of one value are derived.
pub(crate) const SALT_LEN: usize = 16;
/// The longest tag.
pub(crate) const MAX_TAG_LEN: usize = mac::TAG_LEN;

const GCM_TAG_LEN: usize = 16;

/// Why a value does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueFlaw {
    /// Shorter than its tag.
    Short,
    /// Changed, or sealed under other keys or for another place.
    Forged,
}

/// The keys of one value, ready for use.
pub(crate) enum ValueCipher {
    Tdes { keystream: Keystream, mac: MacKey },
    Aes256(Locked<Aes256Gcm>),
}

impl ValueCipher {
    /// With the cipher key `key`; `mac_key` derives the MAC's, which 3DES alone needs.
    pub(crate) fn new(key: &KeyBytes, mac_key: impl FnOnce() -> LockedBytes<32>) -> Self {
        match key {
            KeyBytes::Tdes(bytes) => Self::Tdes {
                keystream: Keystream::of_value(bytes),
                mac: MacKey::new(&mac_key()),
            },
            KeyBytes::Aes256(bytes) => {
                Self::Aes256(Locked::make(|| Aes256Gcm::new((&**bytes).into())))
            }
        }
    }

    /// Seals the bytes of `buffer` from `start` on in place, and appends the tag. The caller
    /// provides the room for it: a buffer that moved would leave the plaintext behind.
    pub(crate) fn seal(self, associated: &[u8], buffer: &mut Vec<u8>, start: usize) {
        let text = buffer.get_mut(start..).unwrap_or_default();
        match self {
            Self::Tdes { mut keystream, mac } => {
                keystream.apply(text);
                let tag = mac.tag(&[associated, text]).to_bytes();
                buffer.extend_from_slice(&tag);
            }
            Self::Aes256(cipher) => {
                // Fails beyond 64 GiB only; an empty tag would not open.
                let tag = cipher
                    .encrypt_inout_detached(&[0; 12].into(), associated, text.into())
                    .map(|tag| tag.to_vec())
                    .unwrap_or_default();
                buffer.extend_from_slice(&tag);
            }
        }
    }

    /// Verifies and opens ciphertext and tag.
    pub(crate) fn open(
        self,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ValueFlaw> {
        match self {
            Self::Tdes { mut keystream, mac } => {
                let (text, tag) = sealed
                    .split_last_chunk::<{ mac::TAG_LEN }>()
                    .ok_or(ValueFlaw::Short)?;
                mac.verify(&[associated, text], tag)
                    .map_err(|_| ValueFlaw::Forged)?;
                let mut value = Zeroizing::new(text.to_vec());
                keystream.apply(&mut value);
                Ok(value)
            }
            Self::Aes256(cipher) => {
                let (text, tag) = sealed
                    .split_last_chunk::<GCM_TAG_LEN>()
                    .ok_or(ValueFlaw::Short)?;
                let mut value = Zeroizing::new(text.to_vec());
                cipher
                    .decrypt_inout_detached(
                        &[0; 12].into(),
                        associated,
                        value.as_mut_slice().into(),
                        &(*tag).into(),
                    )
                    .map_err(|_| ValueFlaw::Forged)?;
                Ok(value)
            }
        }
    }
}
