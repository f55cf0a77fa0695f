//! AES-256-GCM (SP 800-38D) with nonces of 12 bytes and tags of 16, for whoever seals much under
//! one key.
//!
//! With the feature `ring` by that library, which deciphers and authenticates in one pass with the
//! widest instructions of the processor; without it by the `aes-gcm` crate, which is all Rust and a
//! third as fast. The interface is the same.

#[cfg(not(feature = "ring"))]
#[path = "portable.rs"]
mod implementation;
#[cfg(feature = "ring")]
#[path = "ring.rs"]
mod implementation;

use std::fmt;

use crate::secret::locked::Locked;

/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 32;
/// Bytes of a nonce.
pub(crate) const NONCE_LEN: usize = 12;
/// Bytes of a tag.
pub(crate) const TAG_LEN: usize = 16;

/// The text is longer than the mode allows, or its tag was made with another key, nonce, or over
/// other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// A key made ready for use, in locked memory.
pub(crate) struct GcmKey(Locked<implementation::Key>);

impl GcmKey {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Locked::make(|| implementation::Key::new(key)))
    }

    /// Enciphers in place and gives the tag.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Refused> {
        self.0.seal(nonce, associated, text)
    }

    /// Verifies and deciphers in place. Where that is refused, `text` is of no use any more, and
    /// holds no plaintext.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        associated: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Refused> {
        self.0.open(nonce, associated, text, tag)
    }
}

impl fmt::Debug for GcmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcmKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use aes_gcm::aead::AeadInOut;
    use aes_gcm::{Aes256Gcm, KeyInit};
    use data_encoding::HEXLOWER;
    use rand::rngs::StdRng;
    use rand::{Rng, RngExt, SeedableRng};

    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    /// Test case 16 of the mode's specification (McGrew and Viega, "The Galois/Counter Mode of
    /// Operation").
    #[test]
    fn the_specifications_vector_comes_out() {
        let key = GcmKey::new(&bytes(
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        ));
        let nonce = bytes("cafebabefacedbaddecaf888");
        let associated = bytes::<20>("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plain = bytes::<60>(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        ));
        let mut text = plain;
        let tag = key.seal(nonce, &associated, &mut text).unwrap();
        let cipher = bytes::<60>(concat!(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        ));
        assert_eq!(text, cipher);
        assert_eq!(tag, bytes("76fc6ece0f4e1768cddf8853bb2d551b"));
        key.open(nonce, &associated, &mut text, &tag).unwrap();
        assert_eq!(text, plain);
    }

    #[test]
    fn it_agrees_with_the_aes_gcm_crate_at_every_length() {
        let seed = rand::random();
        println!("seed {seed}");
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut key = [0; KEY_LEN];
        rng.fill_bytes(&mut key);
        let (ours, other) = (GcmKey::new(&key), Aes256Gcm::new(&key.into()));
        for len in (0..600).chain([16_383, 16_384]) {
            let nonce: [u8; NONCE_LEN] = rng.random();
            let associated = vec![rng.random(); rng.random_range(0..20)];
            let mut plain = vec![0; len];
            rng.fill_bytes(&mut plain);
            let (mut text, mut expected) = (plain.clone(), plain.clone());
            let tag = ours.seal(nonce, &associated, &mut text).unwrap();
            let other_tag = other
                .encrypt_inout_detached(&nonce.into(), &associated, expected.as_mut_slice().into())
                .unwrap();
            assert!(text == expected && other_tag[..] == tag, "{len} bytes");
            ours.open(nonce, &associated, &mut text, &tag).unwrap();
            assert!(text == plain, "{len} bytes");
        }
    }

    #[test]
    fn whatever_was_changed_is_refused_and_shows_no_plaintext() {
        let key = GcmKey::new(&[1; KEY_LEN]);
        for len in [0, 1, 16, 100, 5_000] {
            let plain = vec![0xA5; len];
            let mut text = plain.clone();
            let tag = key.seal([2; NONCE_LEN], &[3], &mut text).unwrap();
            let refused = |nonce: u8, associated: u8, mut text: Vec<u8>, tag| {
                let opened = key.open([nonce; NONCE_LEN], &[associated], &mut text, &tag);
                assert_eq!(opened, Err(Refused));
                assert!(!text.windows(8).any(|at| at == [0xA5; 8]));
            };
            refused(3, 3, text.clone(), tag);
            refused(2, 4, text.clone(), tag);
            for byte in 0..TAG_LEN {
                let mut changed = tag;
                changed[byte] ^= 0x80;
                refused(2, 3, text.clone(), changed);
            }
            for byte in (0..len).step_by(97) {
                let mut changed = text.clone();
                changed[byte] ^= 1;
                refused(2, 3, changed, tag);
            }
        }
    }

    #[test]
    fn debug_shows_no_key_byte() {
        let key = GcmKey::new(&[0xAB; KEY_LEN]);
        assert_eq!(format!("{key:?}"), "GcmKey([redacted])");
    }
}
