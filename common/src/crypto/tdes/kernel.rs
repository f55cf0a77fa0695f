//! 3DES-CTR on as many blocks at a time as a register has bits.

use zeroize::optimization_barrier;

use super::schedule::{Masks, RoundKey, Schedule};
use super::wiring::{IP, expanded, permuted};
use super::word::Word;

/// Bytes of the keystream that a register of `words` words of 64 bits makes at a time.
pub(super) const fn batch_len(words: usize) -> usize {
    64 * 8 * words
}

/// Adds to `data`, whole batches, the encipherment of the counter blocks from `first` on, which is a multiple of a
/// batch's blocks.
#[inline(always)]
pub(super) fn add_batches<W: Word>(schedule: &Schedule, first: u64, data: &mut [u8]) {
    let mut masks = Masks::empty();
    masks.fill(schedule);
    let mut state = State {
        left: [W::spread(0); 32],
        right: [W::spread(0); 32],
        rows: [W::spread(0); 64],
    };
    let mut counter = first;
    for batch in data.chunks_exact_mut(batch_len(W::WORDS)) {
        state.encipher(&masks, counter);
        for (row, bytes) in state.rows.iter().zip(batch.chunks_exact_mut(8 * W::WORDS)) {
            row.add(bytes);
        }
        counter = counter.wrapping_add(64 * W::WORDS as u64);
    }
    state.wipe();
}

/// A batch of blocks, a bit of all of them in each register.
///
/// Bit `b` of word `w` of a register belongs to block `b * WORDS + w`: so a register of the transposed output holds
/// bytes that follow one another.
struct State<W> {
    left: [W; 32],
    right: [W; 32],
    /// The output.
    rows: [W; 64],
}

impl<W: Word> State<W> {
    #[inline(always)]
    fn encipher(&mut self, masks: &Masks, first: u64) {
        for i in 0..32 {
            self.left[i] = counter_bit(64 - IP[i], first);
            self.right[i] = counter_bit(64 - IP[32 + i], first);
        }
        let (mut a, mut b) = (&mut self.left, &mut self.right);
        for pass in masks.passes() {
            for [even, odd] in pass.as_chunks().0 {
                round(a, b, even);
                round(b, a, odd);
            }
            // The halves leave a pass exchanged; the permutations between two passes cancel out.
            (a, b) = (b, a);
        }
        for i in 0..32 {
            self.rows[row(IP[i])] = a[i];
            self.rows[row(IP[32 + i])] = b[i];
        }
        transpose(&mut self.rows);
    }

    /// Leaves no keystream on the stack.
    #[inline(always)]
    fn wipe(&mut self) {
        self.left = [W::spread(0); 32];
        self.right = [W::spread(0); 32];
        self.rows = [W::spread(0); 64];
        optimization_barrier(self);
    }
}

/// One round: `half` is changed by what `other` and the round key give.
#[inline(always)]
fn round<W: Word>(half: &mut [W; 32], other: &[W; 32], key: &RoundKey) {
    substitute::<W, 0>(half, other, key);
    substitute::<W, 1>(half, other, key);
    substitute::<W, 2>(half, other, key);
    substitute::<W, 3>(half, other, key);
    substitute::<W, 4>(half, other, key);
    substitute::<W, 5>(half, other, key);
    substitute::<W, 6>(half, other, key);
    substitute::<W, 7>(half, other, key);
}

#[inline(always)]
fn substitute<W: Word, const BOX: usize>(half: &mut [W; 32], other: &[W; 32], key: &RoundKey) {
    let mut inputs = [other[0]; 6];
    for (i, input) in inputs.iter_mut().enumerate() {
        *input = other[expanded(BOX, i)].xor(W::spread(key[6 * BOX + i]));
    }
    let outputs = W::substitute::<BOX>(inputs);
    for (i, output) in outputs.into_iter().enumerate() {
        let bit = permuted(BOX, i);
        half[bit] = half[bit].xor(output);
    }
}

/// Bit `bit` of every counter, 0 being the least significant. The lowest count the words, the next the bits of a word.
#[inline(always)]
fn counter_bit<W: Word>(bit: u8, first: u64) -> W {
    const COUNTING: [u64; 6] = [
        0xAAAA_AAAA_AAAA_AAAA,
        0xCCCC_CCCC_CCCC_CCCC,
        0xF0F0_F0F0_F0F0_F0F0,
        0xFF00_FF00_FF00_FF00,
        0xFFFF_0000_FFFF_0000,
        0xFFFF_FFFF_0000_0000,
    ];
    let word_bits = W::WORDS.trailing_zeros() as usize;
    let bit = bit as usize;
    if bit < word_bits {
        let mut words = [0; 8];
        for (number, word) in words.iter_mut().enumerate() {
            *word = 0_u64.wrapping_sub(number as u64 >> bit & 1);
        }
        W::from_words(&words)
    } else if bit < word_bits + COUNTING.len() {
        W::from_words(&[COUNTING[bit - word_bits]; 8])
    } else {
        W::spread(0_u32.wrapping_sub((first >> bit) as u32 & 1))
    }
}

/// The place that bit `bit` of a block, from 1, the most significant first, has in the word that a processor reads the
/// block as, lowest byte first.
#[inline(always)]
const fn row(bit: u8) -> usize {
    let bit = bit as usize - 1;
    bit / 8 * 8 + 7 - bit % 8
}

/// Makes bit `j` of row `i` bit `i` of row `j`, in every word.
#[inline(always)]
fn transpose<W: Word>(rows: &mut [W; 64]) {
    exchange(rows, 32, 0x0000_0000_FFFF_FFFF);
    exchange(rows, 16, 0x0000_FFFF_0000_FFFF);
    exchange(rows, 8, 0x00FF_00FF_00FF_00FF);
    exchange(rows, 4, 0x0F0F_0F0F_0F0F_0F0F);
    exchange(rows, 2, 0x3333_3333_3333_3333);
    exchange(rows, 1, 0x5555_5555_5555_5555);
}

#[inline(always)]
fn exchange<W: Word>(rows: &mut [W; 64], places: i32, low: u64) {
    let low = W::from_words(&[low; 8]);
    let distance = places as usize;
    for i in (0..64).filter(|i| i & distance == 0) {
        (rows[i], rows[i + distance]) = W::exchange(rows[i], rows[i + distance], places, low);
    }
}
