//! Code that leaks on purpose: a run that does not find it could not have found anything.

use std::hint::black_box;

use portcullis_common::crypto::mac::MacKey;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::inputs::Input;
use super::subjects::{Subject, covered, wrong_tag};

/// Entries of one table, which takes in 16 bits.
const ENTRIES: usize = 1 << 16;
/// Rounds of 3DES.
const ROUNDS: u32 = 48;

/// A cipher of the build of 3DES that looks up its rounds in four tables of 256 KiB, so that what
/// was not looked up just before is far from the processor. Tables of a few KiB leak as well, but
/// too little to be found in a short time on every processor, and this one has to be found. What
/// the tables say does not matter to the time, so it is random.
pub(super) struct TableDriven {
    tables: [Box<[u32; ENTRIES]>; 4],
}

impl TableDriven {
    pub(super) fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let tables = [(); 4].map(|()| {
            let mut table = Box::new([0; ENTRIES]);
            table.fill_with(|| rng.next_u32());
            table
        });
        Self { tables }
    }

    fn encipher(&self, key: &[u8; 32], block: u64) -> u64 {
        let keys = key.as_chunks::<4>().0;
        let (mut left, mut right) = ((block >> 32) as u32, block as u32);
        for (round, key) in (0..ROUNDS).zip(keys.iter().cycle()) {
            let mixed = right ^ u32::from_be_bytes(*key).rotate_left(round);
            for (table, place) in self.tables.iter().zip([0, 8, 16, 24]) {
                left ^= table[mixed.rotate_right(place) as usize % ENTRIES];
            }
            (left, right) = (right, left);
        }
        u64::from(left) << 32 | u64::from(right)
    }
}

impl Subject for TableDriven {
    fn measured(&mut self, input: &mut Input) {
        if let Some(block) = input.data.first_chunk_mut() {
            *block = self
                .encipher(&input.key, u64::from_be_bytes(*block))
                .to_be_bytes();
        }
    }
}

/// The check of a MAC that ends at the first byte that is wrong.
#[derive(Default)]
pub(super) struct EarlyExit {
    ready: Option<(MacKey, [u8; 32])>,
}

impl Subject for EarlyExit {
    fn ready(&mut self, input: &Input) {
        let key = MacKey::new(&input.key);
        let tag = wrong_tag(&key, input);
        self.ready = Some((key, tag));
    }

    fn measured(&mut self, input: &mut Input) {
        let Some((key, tag)) = &self.ready else {
            return;
        };
        let expected = key.tag(&covered(&input.data)).to_bytes();
        for (expected, found) in expected.iter().zip(tag) {
            // Unseen by the compiler, which would compare many bytes at a time.
            if black_box(expected) != black_box(found) {
                return;
            }
        }
    }
}
