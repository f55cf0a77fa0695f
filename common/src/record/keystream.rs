//! 3DES in counter mode, as one continuous keystream for all the records of an epoch.

use des::TdesEde3;
use des::cipher::{Block, BlockCipherEncrypt, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a 3DES key.
pub(super) const KEY_LEN: usize = 24;
/// Bytes of a block.
pub(super) const BLOCK_LEN: usize = 8;

/// Blocks that are enciphered at a time.
const BATCH: usize = 64;

/// The keystream of one epoch: the counter block is a 64-bit big-endian number that starts from 0, and a record begins
/// where the record before it ended, if need be within a block.
pub(super) struct Keystream {
    cipher: TdesEde3,
    counter: u64,
    /// The last block enciphered; its bytes from `used` on belong to the next record.
    block: [u8; BLOCK_LEN],
    used: usize,
}

impl Keystream {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self {
            cipher: TdesEde3::new(key.into()),
            counter: 0,
            block: [0; BLOCK_LEN],
            used: BLOCK_LEN,
        }
    }

    /// Enciphers or deciphers `data` with the next bytes of the keystream.
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        let leftover = data.len().min(BLOCK_LEN - self.used);
        let (head, rest) = data.split_at_mut(leftover);
        xor(head, &self.block[self.used..]);
        self.used += leftover;

        let mut batch = [Block::<TdesEde3>::default(); BATCH];
        let batch = &mut batch[..BATCH.min(rest.len().div_ceil(BLOCK_LEN))];
        for part in rest.chunks_mut(BATCH * BLOCK_LEN) {
            let batch = &mut batch[..part.len().div_ceil(BLOCK_LEN)];
            for block in batch.iter_mut() {
                // The block budget of an epoch is far below the counter's range.
                *block = self.counter.to_be_bytes().into();
                self.counter += 1;
            }
            self.cipher.encrypt_blocks(batch);
            for (bytes, block) in part.chunks_mut(BLOCK_LEN).zip(batch.iter()) {
                xor(bytes, block);
                self.used = bytes.len();
            }
            if let Some(last) = batch.last() {
                self.block = (*last).into();
            }
        }
        batch.iter_mut().for_each(|block| block.zeroize());
    }
}

impl Drop for Keystream {
    fn drop(&mut self) {
        self.block.zeroize();
    }
}

/// The cipher's schedule wipes itself.
impl ZeroizeOnDrop for Keystream {}

fn xor(data: &mut [u8], keystream: &[u8]) {
    for (byte, key) in data.iter_mut().zip(keystream) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_share_one_keystream_however_they_are_cut() {
        let key: [u8; KEY_LEN] = std::array::from_fn(|i| i as u8 * 7 + 1);
        let mut whole = vec![0; 3_000];
        Keystream::new(&key).apply(&mut whole);

        // The keystream is the encipherment of 0, 1, 2, …
        let cipher = TdesEde3::new(&key.into());
        for (counter, expected) in whole.chunks(BLOCK_LEN).enumerate() {
            let mut block: Block<TdesEde3> = (counter as u64).to_be_bytes().into();
            cipher.encrypt_block(&mut block);
            assert_eq!(block[..], *expected);
        }

        for size in [1, 2, 3, 7, 8, 9, 511, 512, 513, 1_000] {
            let mut cut = vec![0; 3_000];
            let mut keystream = Keystream::new(&key);
            for part in cut.chunks_mut(size) {
                keystream.apply(part);
                keystream.apply(&mut []);
            }
            assert!(cut == whole, "cut every {size} bytes");
        }
    }
}
