//! One block at a time: what key wrap needs, and what the tests hold the kernel to.

use std::fmt;

use des::TdesEde3;
use des::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::ZeroizeOnDrop;

use crate::{BLOCK_LEN, KEY_LEN};

/// Triple DES under one key, whose schedule is erased on drop.
pub struct Tdes(TdesEde3);

impl Tdes {
    /// The cipher under `key`. Its parity does not matter here, nor does its strength: keys are
    /// checked where they arise.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(TdesEde3::new(key.into()))
    }

    /// Encrypts one block in place.
    pub fn encrypt(&self, block: &mut [u8; BLOCK_LEN]) {
        self.0.encrypt_block(block.into());
    }

    /// Decrypts one block in place.
    pub fn decrypt(&self, block: &mut [u8; BLOCK_LEN]) {
        self.0.decrypt_block(block.into());
    }
}

impl ZeroizeOnDrop for Tdes {}

impl fmt::Debug for Tdes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tdes([redacted])")
    }
}
