//! By the `aes-gcm` crate.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::ZeroizeOnDrop;

use super::{KEY_LEN, NONCE_LEN, Refused, TAG_LEN};

/// The round keys and the powers of the hash key.
pub(super) struct Key(Aes256Gcm);

/// The cipher wipes itself.
impl ZeroizeOnDrop for Key {}

impl Key {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Refused> {
        self.0
            .encrypt_inout_detached(&nonce.into(), associated, text.into())
            .map(Into::into)
            .map_err(|_| Refused)
    }

    pub(super) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        associated: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Refused> {
        self.0
            .decrypt_inout_detached(&nonce.into(), associated, text.into(), &(*tag).into())
            .map_err(|_| Refused)
    }
}
