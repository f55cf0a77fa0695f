//! HMAC-SHA256 (FIPS 198-1, RFC 2104) with comparison in constant time.

use std::fmt;

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::secret::locked::{Locked, LockedBytes};
use crate::secret::stack;

/// Bytes of a full tag.
pub const TAG_LEN: usize = 32;
/// Bytes of the keys used here: as long as the tag.
pub const MAC_KEY_LEN: usize = 32;

const SHA256_BLOCK: usize = 64;

/// The tag was made with another key or over other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MAC does not verify")]
pub struct BadMac;

/// A key for HMAC-SHA256, in the form of its two half-computed hashes, in locked memory; erased on drop.
#[derive(Clone)]
pub struct MacKey(Locked<Keyed>);

#[derive(Clone)]
struct Keyed(Hmac<Sha256>);

/// The half-computed hashes and their buffer wipe themselves.
impl ZeroizeOnDrop for Keyed {}

impl MacKey {
    /// A key from its 32 bytes.
    pub fn new(bytes: &[u8; MAC_KEY_LEN]) -> Self {
        Self(Locked::make(|| Keyed(keyed(bytes))))
    }

    /// The tag over the concatenation of `parts`.
    pub fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut tag = [0; TAG_LEN];
        stack::wiped(|| finish(self.0.0.clone(), parts, &mut tag));
        Tag(tag)
    }

    /// Compares `tag` with the one over the concatenation of `parts`, in constant time. A shorter `tag` is compared
    /// with the first bytes: the caller fixes its length.
    ///
    /// # Errors
    /// [`BadMac`] where they differ, or `tag` is empty or too long.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), BadMac> {
        let expected = self.tag(parts);
        let expected = expected
            .0
            .get(..tag.len())
            .filter(|tag| !tag.is_empty())
            .ok_or(BadMac)?;
        if bool::from(expected.ct_eq(tag)) {
            Ok(())
        } else {
            Err(BadMac)
        }
    }
}

impl Prf for MacKey {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
        finish(self.0.0.clone(), parts, out);
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey([redacted])")
    }
}

/// A tag that was made here. One that came from a peer is only ever given to [`MacKey::verify`].
#[derive(Clone, Debug)]
pub struct Tag([u8; TAG_LEN]);

impl Tag {
    /// The bytes to be sent.
    pub const fn to_bytes(&self) -> [u8; TAG_LEN] {
        self.0
    }
}

/// A key under which more are derived: its bytes, or where many are derived under it, the key made ready once. What
/// comes of it is a secret, and so is what it leaves on the stack.
pub(crate) trait Prf {
    /// HMAC-SHA256 over the concatenation of `parts`.
    fn prf(&self, parts: &[&[u8]], out: &mut [u8; TAG_LEN]);
}

impl Prf for [u8; MAC_KEY_LEN] {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
        hmac_sha256(self, parts, out);
    }
}

impl Prf for LockedBytes<MAC_KEY_LEN> {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
        hmac_sha256(self, parts, out);
    }
}

/// HMAC-SHA256 as a function, for the key derivations: its result is a secret, and so is what it leaves on the stack.
pub(super) fn hmac_sha256(key: &[u8; MAC_KEY_LEN], parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
    finish(keyed(key), parts, out);
}

/// A key shorter than a block counts as filled up with zeros (FIPS 198-1, step 3).
fn keyed(key: &[u8; MAC_KEY_LEN]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; SHA256_BLOCK]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::new((&*block).into())
}

fn finish(mut mac: Hmac<Sha256>, parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
    for part in parts {
        mac.update(part);
    }
    mac.finalize_into(out.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_cut_or_lengthened_tag_is_refused() {
        let key = MacKey::new(&[7; 32]);
        let tag = key.tag(&[b"left", b"right"]).to_bytes();
        assert_eq!(key.verify(&[b"leftright"], &tag), Ok(()));
        assert_eq!(key.verify(&[b"leftright"], &tag[..16]), Ok(()));
        assert_eq!(key.verify(&[b"leftrighT"], &tag), Err(BadMac));
        assert_eq!(
            MacKey::new(&[8; 32]).verify(&[b"leftright"], &tag),
            Err(BadMac)
        );
        assert_eq!(key.verify(&[b"leftright"], &[]), Err(BadMac));
        assert_eq!(
            key.verify(&[b"leftright"], &[&tag[..], &[0]].concat()),
            Err(BadMac)
        );
        for bit in 0..tag.len() * 8 {
            let mut changed = tag;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                key.verify(&[b"leftright"], &changed),
                Err(BadMac),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn debug_shows_no_key_byte() {
        assert_eq!(
            format!("{:?}", MacKey::new(&[0xAB; 32])),
            "MacKey([redacted])"
        );
    }
}
