//! Key wrap: TKW of NIST SP 800-38F over 3DES, and AES key wrap of RFC 3394 (KW of the same
//! standard).
//!
//! One algorithm, W of SP 800-38F section 6.1, over semiblocks of half a cipher block: 4 bytes for
//! 3DES, 8 for AES. Each wrap is as long as what it holds and one semiblock more, which carries the
//! integrity check: 32 bits for TKW. That is little, so the protocol never relies on it alone.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use portcullis_tdes::Tdes;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::id::KeyKind;
use crate::secret::locked::Locked;
use crate::secret::{KeyBytes, KeyEncryptionKey, stack};

/// Why nothing was unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyWrapError {
    /// No wrap has this length.
    #[error("a wrapped key of an impossible length")]
    Length,
    /// It was wrapped under another key, or changed since.
    #[error("the wrapped key fails its integrity check")]
    Integrity,
}

/// Bytes of a wrap, under a key of `kek`, that holds a key of `wrapped`.
pub const fn wrapped_len(kek: KeyKind, wrapped: KeyKind) -> usize {
    wrapped.key_len() + semiblock_len(kek)
}

/// Wraps the bytes of a key.
pub(crate) fn wrap(kek: &KeyEncryptionKey, key: &[u8]) -> Vec<u8> {
    with_cipher(kek, |cipher| seal(cipher, key))
}

/// Unwraps the bytes of a key. They stand in a buffer that is erased when dropped, and is erased
/// before an error returns.
///
/// # Errors
/// [`KeyWrapError`]; the comparison takes constant time.
pub(crate) fn unwrap(
    kek: &KeyEncryptionKey,
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyWrapError> {
    with_cipher(kek, |cipher| open(cipher, wrapped))
}

const fn semiblock_len(kind: KeyKind) -> usize {
    match kind {
        KeyKind::Tdes => 4,
        KeyKind::Aes256 => 8,
    }
}

/// The first semiblock before wrapping (SP 800-38F, 6.2 and 6.3: ICV1 and ICV3).
const ICV_BYTE: u8 = 0xA6;
const ROUNDS: u64 = 6;
const MAX_SEMIBLOCK: usize = 8;

/// A block cipher, as W sees it: one block in place, two semiblocks long.
trait BlockCipher {
    fn semiblock_len(&self) -> usize;
    fn encrypt(&self, block: &mut [u8]);
    fn decrypt(&self, block: &mut [u8]);
}

impl BlockCipher for Tdes {
    fn semiblock_len(&self) -> usize {
        semiblock_len(KeyKind::Tdes)
    }

    fn encrypt(&self, block: &mut [u8]) {
        if let Ok(block) = block.try_into() {
            Self::encrypt(self, block);
        }
    }

    fn decrypt(&self, block: &mut [u8]) {
        if let Ok(block) = block.try_into() {
            Self::decrypt(self, block);
        }
    }
}

impl BlockCipher for Aes256 {
    fn semiblock_len(&self) -> usize {
        semiblock_len(KeyKind::Aes256)
    }

    fn encrypt(&self, block: &mut [u8]) {
        if let Ok(block) = block.try_into() {
            self.encrypt_block(block);
        }
    }

    fn decrypt(&self, block: &mut [u8]) {
        if let Ok(block) = block.try_into() {
            self.decrypt_block(block);
        }
    }
}

fn with_cipher<T>(kek: &KeyEncryptionKey, then: impl FnOnce(&dyn BlockCipher) -> T) -> T {
    match &kek.0 {
        KeyBytes::Tdes(key) => {
            let cipher = Locked::make(|| Tdes::new(key));
            stack::wiped(|| then(&*cipher))
        }
        KeyBytes::Aes256(key) => {
            let cipher = Locked::make(|| Aes256::new((&**key).into()));
            stack::wiped(|| then(&*cipher))
        }
    }
}

/// W with the ICV put first.
fn seal(cipher: &dyn BlockCipher, key: &[u8]) -> Vec<u8> {
    let semi = cipher.semiblock_len();
    let mut out = vec![ICV_BYTE; semi + key.len()];
    let (icv, rest) = out.split_at_mut(semi);
    rest.copy_from_slice(key);
    let mut block = Block::new(semi);
    let mut step = 0_u64;
    for _ in 0..ROUNDS {
        for semiblock in rest.chunks_exact_mut(semi) {
            step += 1;
            block.load(icv, semiblock);
            cipher.encrypt(block.bytes());
            block.xor_step(step);
            block.store(icv, semiblock);
        }
    }
    out
}

/// The inverse of W, then the check of the ICV.
fn open(cipher: &dyn BlockCipher, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyWrapError> {
    let semi = cipher.semiblock_len();
    if wrapped.len() < 3 * semi || !wrapped.len().is_multiple_of(semi) {
        return Err(KeyWrapError::Length);
    }
    let (icv, rest) = wrapped.split_at(semi);
    let mut icv = icv.to_vec();
    let mut key = Zeroizing::new(rest.to_vec());
    let mut block = Block::new(semi);
    let mut step = ROUNDS * (key.len() / semi) as u64;
    for _ in 0..ROUNDS {
        for semiblock in key.chunks_exact_mut(semi).rev() {
            block.load(&icv, semiblock);
            block.xor_step(step);
            cipher.decrypt(block.bytes());
            block.store(&mut icv, semiblock);
            step -= 1;
        }
    }
    let expected = [ICV_BYTE; MAX_SEMIBLOCK];
    if bool::from(icv.ct_eq(&expected[..semi])) {
        Ok(key)
    } else {
        // Dropping erases it too; here it is erased before anybody can see that there is an error.
        key.zeroize();
        Err(KeyWrapError::Integrity)
    }
}

/// One cipher block: the integrity register, then one semiblock of the key.
struct Block {
    bytes: Zeroizing<[u8; 2 * MAX_SEMIBLOCK]>,
    semi: usize,
}

impl Block {
    fn new(semi: usize) -> Self {
        Self {
            bytes: Zeroizing::new([0; 2 * MAX_SEMIBLOCK]),
            semi,
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..2 * self.semi]
    }

    fn load(&mut self, icv: &[u8], semiblock: &[u8]) {
        let (left, right) = self.bytes[..2 * self.semi].split_at_mut(self.semi);
        left.copy_from_slice(icv);
        right.copy_from_slice(semiblock);
    }

    fn store(&self, icv: &mut [u8], semiblock: &mut [u8]) {
        let (left, right) = self.bytes[..2 * self.semi].split_at(self.semi);
        icv.copy_from_slice(left);
        semiblock.copy_from_slice(right);
    }

    /// Xors the step's number, big-endian and as wide as a semiblock, into the integrity register.
    fn xor_step(&mut self, step: u64) {
        let step = step.to_be_bytes();
        let register = self.bytes[..self.semi].iter_mut();
        for (byte, step) in register.zip(&step[step.len() - self.semi..]) {
            *byte ^= step;
        }
    }
}

#[cfg(test)]
mod tests;
