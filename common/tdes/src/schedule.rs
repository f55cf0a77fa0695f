//! A key made ready for the kernel.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing, optimization_barrier};

use crate::KEY_LEN;
use crate::wiring::{INVERTED, KEY_BITS, ROUND_KEY_BITS, ROUNDS, expanded, permuted};

/// Rounds of encrypt–decrypt–encrypt.
const ALL_ROUNDS: usize = 3 * ROUNDS;

/// The bits of a round key, 24 in each half of the word, the first as the lowest.
pub(crate) type RoundKey = u64;

/// The round keys in their order of use: 384 bytes, erased on drop.
pub struct Schedule([RoundKey; ALL_ROUNDS]);

impl Schedule {
    /// The round keys of `key`, whose parity does not matter here, nor its strength: keys are
    /// checked where they arise.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut schedule = Self([0; ALL_ROUNDS]);
        let passes = schedule.0.as_chunks_mut::<ROUNDS>().0;
        for (pass, (rounds, key)) in passes.iter_mut().zip(key.as_chunks().0).enumerate() {
            let key = Zeroizing::new(u64::from_be_bytes(*key));
            // The second pass decrypts: its round keys run backwards.
            let decrypts = pass == 1;
            for (number, round) in rounds.iter_mut().enumerate() {
                let bits = &KEY_BITS[if decrypts {
                    ROUNDS - 1 - number
                } else {
                    number
                }];
                for (place, &bit) in bits.iter().enumerate() {
                    *round |= (*key >> (63 - bit) & 1) << position(place);
                }
            }
        }
        schedule
    }
}

/// Where bit `place` of a round key is in its word.
const fn position(place: usize) -> usize {
    place / 24 * 32 + place % 24
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Schedule {}

/// A round key as most rounds read it: 192 bytes, a word for each bit that is spread over a
/// register.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct RoundMasks([u32; ROUND_KEY_BITS]);

impl Default for RoundMasks {
    #[inline(always)]
    fn default() -> Self {
        Self([0; ROUND_KEY_BITS])
    }
}

impl RoundMasks {
    /// Fills the word of each bit of `key` with that bit.
    #[inline(always)]
    pub(crate) fn fill(&mut self, key: RoundKey) {
        for (place, mask) in self.0.iter_mut().enumerate() {
            *mask = 0_u32.wrapping_sub((key >> position(place)) as u32 & 1);
        }
    }

    /// The bit for input `input` of S-box `number`, both from 0.
    #[inline(always)]
    pub(crate) fn bit(&self, number: usize, input: usize) -> u32 {
        self.0[6 * number + input]
    }
}

/// The round keys as the kernel reads them: 9 KiB with [`RoundMasks`], erased on drop. Made for a
/// run of batches, and kept no longer.
pub(crate) struct Masks<M: Copy + Default>([M; ALL_ROUNDS]);

impl<M: Copy + Default> Masks<M> {
    /// Nothing yet: made before it is filled, so that no copy of it is left where it was made.
    #[inline(always)]
    pub(crate) fn empty() -> Self {
        Self([M::default(); ALL_ROUNDS])
    }

    /// Has `fill` make those of each round. `inversions` are what [`inversions`] gives.
    #[inline(always)]
    pub(crate) fn fill(
        &mut self,
        schedule: &Schedule,
        [even, odd]: [RoundKey; 2],
        fill: impl Fn(&mut M, RoundKey),
    ) {
        let rounds = self.0.as_chunks_mut::<4>().0;
        for (masks, keys) in rounds.iter_mut().zip(schedule.0.as_chunks::<4>().0) {
            // A half is written in every second round, and what inverts it inverts it back the next
            // time.
            for (number, inversion) in [even, odd, odd, even].into_iter().enumerate() {
                fill(&mut masks[number], keys[number] ^ inversion);
            }
        }
    }

    /// Those of each of the three passes.
    #[inline(always)]
    pub(crate) fn passes(&mut self) -> &mut [[M; ROUNDS]] {
        self.0.as_chunks_mut().0
    }
}

impl<M: Copy + Default> Drop for Masks<M> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0 = [M::default(); ALL_ROUNDS];
        optimization_barrier(self);
    }
}

/// The inversions of the round keys that make up for what the circuits leave inverted, in the
/// rounds that see halves written an even number of times, and in those that see them written an
/// odd number of times.
///
/// Besides [`INVERTED`], `inputs` and `outputs` are inverted, of each S-box the first as the
/// highest bit.
pub(crate) const fn inversions([inputs, outputs]: [[u8; 8]; 2]) -> [RoundKey; 2] {
    let mut half = [0; 32];
    let mut number = 0;
    while number < 8 {
        let mut output = 0;
        while output < 4 {
            let inverted = outputs[number] ^ INVERTED[number];
            half[permuted(number, output)] = inverted >> (3 - output) & 1;
            output += 1;
        }
        number += 1;
    }
    let mut inversions = [0; 2];
    let mut place = 0;
    while place < ROUND_KEY_BITS {
        let (number, input) = (place / 6, place % 6);
        let always = inputs[number] >> (5 - input) & 1;
        let odd = always ^ half[expanded(number, input)];
        inversions[0] |= (always as u64) << position(place);
        inversions[1] |= (odd as u64) << position(place);
        place += 1;
    }
    inversions
}
