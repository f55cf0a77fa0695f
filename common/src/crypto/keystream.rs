//! The keystream of Triple DES in counter mode (SP 800-38A, 6.5), byte for byte.

use std::fmt;

use portcullis_tdes::{BLOCK_LEN, Backend, KEY_LEN, STACK, Schedule};
use zeroize::{ZeroizeOnDrop, optimization_barrier};

use crate::secret::locked::Locked;
use crate::secret::stack;

/// The encipherments of 0, 1, 2, … as 64-bit big-endian numbers, as one stream of bytes: each call
/// goes on where the one before it ended, if need be within a block.
///
/// It is made in batches. What a short piece of data leaves of its batch is kept for the next one;
/// what was used is wiped at once. After 2^64 blocks the counter begins anew: whoever uses a key
/// keeps far below that.
///
/// The key and the batch are in locked memory, 512 bytes and the batch's.
pub struct Keystream {
    backend: Backend,
    /// Bytes of a batch.
    len: usize,
    schedule: Locked<Schedule>,
    /// Zeros, or the present batch with its used bytes wiped.
    batch: Option<Batch>,
    is_made: bool,
    /// The counter at which the present batch begins.
    first: u64,
    /// Bytes of the present batch that were used: fewer than it has.
    used: usize,
}

impl Keystream {
    /// The keystream under `key` from its beginning, by the fastest backend. The parity of the key
    /// does not matter here, nor does its strength: keys are checked where they arise.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self::with_backend(key, Backend::fastest())
    }

    /// The same by `backend`.
    pub fn with_backend(key: &[u8; KEY_LEN], backend: Backend) -> Self {
        Self::in_batches(key, backend, backend.batch_len())
    }

    /// The same for a key that enciphers one value, which is short as a rule: batches of
    /// [`Backend::least_len`].
    pub fn of_value(key: &[u8; KEY_LEN]) -> Self {
        let backend = Backend::fastest();
        Self::in_batches(key, backend, backend.least_len())
    }

    fn in_batches(key: &[u8; KEY_LEN], backend: Backend, len: usize) -> Self {
        Self {
            backend,
            len,
            schedule: Locked::make(|| Schedule::new(key)),
            batch: None,
            is_made: false,
            first: 0,
            used: 0,
        }
    }

    /// Enciphers or deciphers `data` with the next bytes of the keystream.
    pub fn apply(&mut self, data: &mut [u8]) {
        let len = self.len;
        let begun = self.is_made || self.used > 0;
        let left = if begun { len - self.used } else { 0 };
        let (head, rest) = data.split_at_mut(left.min(data.len()));
        self.take(head);
        let (whole, tail) = rest.split_at_mut(rest.len() / len * len);
        if !whole.is_empty() {
            add_batches(self.backend, &self.schedule, self.first, whole);
            self.go_on(whole.len() / len);
        }
        self.take(tail);
    }

    /// Makes the next batch if there is none, so that the next short piece of data finds it made:
    /// for when there is nothing else to do.
    pub fn prepare(&mut self) {
        self.made();
    }

    /// Gives back the memory of the batch. The next use makes it again.
    pub fn rest(&mut self) {
        self.batch = None;
        self.is_made = false;
    }

    /// Uses the next bytes of the present batch, which are no fewer than `data` has.
    fn take(&mut self, data: &mut [u8]) {
        if data.is_empty() {
            return;
        }
        let end = self.used + data.len();
        let used = self.used..end;
        let keystream = &mut self.made()[used];
        for (byte, key) in data.iter_mut().zip(keystream) {
            *byte ^= *key;
            *key = 0;
        }
        self.used = end;
        if end == self.len {
            self.go_on(1);
        }
    }

    /// The present batch, made if it was not.
    fn made(&mut self) -> &mut [u8] {
        let len = self.len;
        let bytes = self
            .batch
            .get_or_insert_with(|| Batch::zeroed(len))
            .bytes(len);
        if !self.is_made {
            add_batches(self.backend, &self.schedule, self.first, bytes);
            // What was used of it before a rest.
            bytes[..self.used].fill(0);
            self.is_made = true;
        }
        bytes
    }

    fn go_on(&mut self, batches: usize) {
        self.used = 0;
        self.is_made = false;
        let blocks = (self.len / BLOCK_LEN * batches) as u64;
        self.first = self.first.wrapping_add(blocks);
    }
}

/// [`Backend::add_batches`], and no keystream stays on the stack.
fn add_batches(backend: Backend, schedule: &Schedule, first: u64, data: &mut [u8]) {
    if cfg!(windows) {
        stack::wiped_to::<STACK, _>(|| backend.add_batches(schedule, first, data));
    } else {
        backend.add_batches(schedule, first, data);
    }
}

/// Room for a batch in locked memory, which has slots of certain sizes only.
enum Batch {
    Least(Locked<Bytes<512>>),
    Short(Locked<Bytes<2048>>),
    Long(Locked<Bytes<4096>>),
}

impl Batch {
    fn zeroed(len: usize) -> Self {
        if len <= 512 {
            Self::Least(Locked::new(Bytes([0; 512])))
        } else if len <= 2048 {
            Self::Short(Locked::new(Bytes([0; 2048])))
        } else {
            Self::Long(Locked::new(Bytes([0; 4096])))
        }
    }

    fn bytes(&mut self, len: usize) -> &mut [u8] {
        match self {
            Self::Least(bytes) => &mut bytes.0[..len],
            Self::Short(bytes) => &mut bytes.0[..len],
            Self::Long(bytes) => &mut bytes.0[..len],
        }
    }
}

/// Erased on drop.
struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Drop for Bytes<N> {
    fn drop(&mut self) {
        self.0.fill(0);
        optimization_barrier(self);
    }
}

impl<const N: usize> ZeroizeOnDrop for Bytes<N> {}

impl fmt::Debug for Keystream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keystream([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use portcullis_tdes::{Features, Tdes};
    use rand::rngs::StdRng;
    use rand::{Rng, RngExt, SeedableRng};

    use super::*;

    const LONGEST: usize = 8_300;

    fn rng() -> StdRng {
        let seed = rand::random();
        println!("seed {seed}");
        StdRng::seed_from_u64(seed)
    }

    fn random_key(rng: &mut StdRng) -> [u8; KEY_LEN] {
        let mut key = [0; KEY_LEN];
        rng.fill_bytes(&mut key);
        key
    }

    /// What the keystream is by definition, from block `first` on.
    fn expected(key: &[u8; KEY_LEN], first: u64, len: usize) -> Vec<u8> {
        let cipher = Tdes::new(key);
        let counters = iter::successors(Some(first), |counter| Some(counter.wrapping_add(1)));
        counters
            .take(len.div_ceil(BLOCK_LEN))
            .flat_map(|counter| {
                let mut block = counter.to_be_bytes();
                cipher.encrypt(&mut block);
                block
            })
            .take(len)
            .collect()
    }

    fn backends() -> impl Iterator<Item = Backend> {
        Backend::available(Features::detected())
    }

    #[test]
    fn every_backend_gives_the_keystream_at_every_length() {
        let mut rng = rng();
        let key = random_key(&mut rng);
        let expected = expected(&key, 0, LONGEST);
        for backend in backends() {
            for len in 0..=LONGEST {
                for batch_len in [backend.batch_len(), backend.least_len()] {
                    let mut text = vec![0; len];
                    Keystream::in_batches(&key, backend, batch_len).apply(&mut text);
                    assert!(text == expected[..len], "{}: {len} bytes", backend.name());
                }
            }
        }
    }

    #[test]
    fn however_it_is_cut_the_keystream_is_one() {
        let mut rng = rng();
        for _ in 0..30 {
            let key = random_key(&mut rng);
            let expected = expected(&key, 0, 4 * LONGEST);
            for backend in backends() {
                let len = if rng.random() {
                    backend.batch_len()
                } else {
                    backend.least_len()
                };
                let mut keystream = Keystream::in_batches(&key, backend, len);
                let mut plain = vec![0; expected.len()];
                rng.fill_bytes(&mut plain);
                let mut text = plain.clone();
                let mut rest = text.as_mut_slice();
                while !rest.is_empty() {
                    let longest = [1, 9, 100, LONGEST][rng.random_range(0..4)];
                    let len = rng.random_range(0..=longest.min(rest.len()));
                    keystream.apply(&mut rest[..len]);
                    rest = &mut rest[len..];
                    match rng.random_range(0..8) {
                        0 => keystream.rest(),
                        1 => keystream.prepare(),
                        _ => {}
                    }
                }
                let matches = text
                    .iter()
                    .zip(&plain)
                    .zip(&expected)
                    .all(|((text, plain), key)| text == &(plain ^ key));
                assert!(matches, "{}", backend.name());
            }
        }
    }

    #[test]
    fn buffers_need_no_alignment() {
        let key = random_key(&mut rng());
        let expected = expected(&key, 0, 4_096 + 5);
        for backend in backends() {
            for offset in 0..65 {
                let mut buffer = vec![0; offset + expected.len() + 1];
                let (text, after) = buffer[offset..].split_at_mut(expected.len());
                Keystream::with_backend(&key, backend).apply(text);
                assert!(text == expected, "{}: at {offset}", backend.name());
                assert_eq!(after, [0], "{}: beyond the end", backend.name());
            }
        }
    }

    #[test]
    fn the_counter_carries_at_every_bit_and_begins_anew_at_its_end() {
        let key = random_key(&mut rng());
        for backend in backends() {
            let blocks = (backend.batch_len() / BLOCK_LEN) as u64;
            for bit in blocks.trailing_zeros() + 1..=64 {
                // The last batch before the carry, and the first one after it.
                let carry = 1_u64.checked_shl(bit).unwrap_or(0);
                let mut keystream = Keystream::with_backend(&key, backend);
                keystream.first = carry.wrapping_sub(blocks);
                let mut text = vec![0; 2 * backend.batch_len()];
                let expected = expected(&key, keystream.first, text.len());
                keystream.apply(&mut text);
                assert!(text == expected, "{}: bit {bit}", backend.name());
            }
        }
    }

    #[test]
    fn used_keystream_is_wiped_at_once() {
        let key = random_key(&mut rng());
        let mut keystream = Keystream::new(&key);
        keystream.apply(&mut [0; 100]);
        let len = keystream.len;
        let batch = keystream.batch.as_mut().unwrap().bytes(len);
        assert_eq!(batch[..100], [0; 100]);
        assert_ne!(batch[100..108], [0; 8], "the next bytes are kept");
        keystream.apply(&mut vec![0; 3 * len - 100]);
        let batch = keystream.batch.as_mut().unwrap().bytes(len);
        assert!(batch.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn debug_shows_no_key_byte() {
        let keystream = Keystream::new(&[0xAB; KEY_LEN]);
        assert_eq!(format!("{keystream:?}"), "Keystream([redacted])");
    }
}
