//! By ring.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::ZeroizeOnDrop;

use super::{KEY_LEN, NONCE_LEN, Refused, TAG_LEN};

/// The round keys and the powers of the hash key.
///
/// `None` for a key of a length that ring does not take, which this type does not have.
pub(super) struct Key(Option<LessSafeKey>);

/// The library wipes nothing. A key stands in locked memory only, where a slot is wiped when it is
/// given back; the feature `ring` does not come without it.
impl ZeroizeOnDrop for Key {}

impl Key {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(
            UnboundKey::new(&AES_256_GCM, key)
                .ok()
                .map(LessSafeKey::new),
        )
    }

    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Refused> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let key = self.0.as_ref().ok_or(Refused)?;
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(associated), text)
            .map_err(|_| Refused)?;
        tag.as_ref().try_into().map_err(|_| Refused)
    }

    pub(super) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        associated: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Refused> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let key = self.0.as_ref().ok_or(Refused)?;
        key.open_in_place_separate_tag(nonce, Aad::from(associated), (*tag).into(), text, 0..)
            .map(drop)
            .map_err(|_| Refused)
    }
}
