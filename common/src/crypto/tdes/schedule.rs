//! A key made ready for the kernel.

use std::hint::black_box;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing, optimization_barrier};

use super::wiring::{KEY_BITS, ROUND_KEY_BITS, ROUNDS, expanded, permuted};
use super::{KEY_LEN, circuits};

/// Rounds of encrypt–decrypt–encrypt.
const ALL_ROUNDS: usize = 3 * ROUNDS;
/// Key bits that are kept in one word.
const WORD_BITS: usize = 24;

/// The round keys in their order of use: 384 bytes, erased on drop.
///
/// The circuits leave some of their outputs inverted. What that makes of the halves is known beforehand, and the round
/// keys make up for it.
pub(super) struct Schedule {
    /// Inverted, which is what [`Masks`] are made from.
    rounds: [[u32; ROUND_KEY_BITS / WORD_BITS]; ALL_ROUNDS],
}

impl Schedule {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut schedule = Self {
            rounds: [[0; ROUND_KEY_BITS / WORD_BITS]; ALL_ROUNDS],
        };
        let passes = schedule.rounds.as_chunks_mut::<ROUNDS>().0;
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
                // A half is written in every second round, and what inverts it inverts it back the next time.
                let inverted = matches!(number % 4, 1 | 2);
                for (place, (&bit, &inversion)) in bits.iter().zip(&INVERSION).enumerate() {
                    let value = (*key >> (63 - bit)) as u32 & 1 ^ u32::from(inversion & inverted);
                    round[place / WORD_BITS] |= (value ^ 1) << (place % WORD_BITS);
                }
            }
        }
        schedule
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.rounds.zeroize();
    }
}

impl ZeroizeOnDrop for Schedule {}

/// The bits of a round key, each filling a word that the kernel spreads over a register.
pub(super) type RoundKey = [u32; ROUND_KEY_BITS];

/// The round keys as the kernel reads them: 9 KiB, erased on drop. Made for a run of batches, and kept no longer.
pub(super) struct Masks([RoundKey; ALL_ROUNDS]);

impl Masks {
    /// Nothing yet: made before it is filled, so that no copy of it is left where it was made.
    #[inline(always)]
    pub(super) fn empty() -> Self {
        Self([[0; ROUND_KEY_BITS]; ALL_ROUNDS])
    }

    #[inline(always)]
    pub(super) fn fill(&mut self, schedule: &Schedule) {
        for (masks, words) in self.0.iter_mut().zip(&schedule.rounds) {
            // Unseen, so that the masks of one round are made at once, rather than one of each of many rounds, which takes
            // longer.
            let words = black_box(*words);
            for (masks, word) in masks.as_chunks_mut::<WORD_BITS>().0.iter_mut().zip(words) {
                for (place, mask) in masks.iter_mut().enumerate() {
                    let bit = 1 << place;
                    // Below zero, and so all ones, where the inverted bit is 0. No shift by a variable: SSE2 has none.
                    *mask = ((word & bit).wrapping_sub(bit).cast_signed() >> 31).cast_unsigned();
                }
            }
        }
    }

    /// The round keys of each of the three passes.
    #[inline(always)]
    pub(super) fn passes(&self) -> &[[RoundKey; ROUNDS]] {
        self.0.as_chunks().0
    }
}

impl Drop for Masks {
    #[inline(always)]
    fn drop(&mut self) {
        self.0 = [[0; ROUND_KEY_BITS]; ALL_ROUNDS];
        optimization_barrier(self);
    }
}

/// The inputs of the S-boxes that see an inverted bit where the half was written once.
const INVERSION: [bool; ROUND_KEY_BITS] = {
    let mut half = [false; 32];
    let mut number = 0;
    while number < 8 {
        let mut output = 0;
        while output < 4 {
            half[permuted(number, output)] = circuits::INVERTED[number] >> (3 - output) & 1 == 1;
            output += 1;
        }
        number += 1;
    }
    let mut inputs = [false; ROUND_KEY_BITS];
    let mut place = 0;
    while place < ROUND_KEY_BITS {
        inputs[place] = half[expanded(place / 6, place % 6)];
        place += 1;
    }
    inputs
};
