//! 3DES-CTR on as many blocks at a time as a register has bits.

use zeroize::optimization_barrier;

use crate::schedule::{Masks, RoundKey, RoundMasks, Schedule, inversions};
use crate::wiring::{IP, ROUNDS, expanded, permuted};
use crate::word::{Circuits, Word};

/// Bytes of the keystream that a register of `words` words of 64 bits makes at a time.
const fn batch_len(words: usize) -> usize {
    64 * 8 * words
}

/// Adds to `data`, whole batches, the encipherment of the counter blocks from `first` on, which is
/// a multiple of a batch's blocks. Several at a time share the masks.
#[inline(always)]
pub(crate) fn add_batches<W: Word>(schedule: &Schedule, first: u64, data: &mut [u8]) {
    // Both are made before either is filled: memory is cleared by a function, and none may be
    // called with the upper parts of registers in use.
    let mut state = State::<W>::zeroed();
    let mut masks = Masks::empty();
    masks.fill(schedule, W::INVERSIONS, W::fill);
    let mut counter = first;
    for batch in data.chunks_exact_mut(batch_len(W::WORDS)) {
        state.count_from(counter);
        state.encipher(&mut masks);
        state.add_to(batch);
        counter = counter.wrapping_add(64 * W::WORDS as u64);
    }
    state.wipe();
}

/// A batch of blocks, a bit of all of them in each register.
///
/// Bit `b` of word `w` of a register belongs to block `b * WORDS + w`: so a register of the
/// transposed output holds bytes that follow one another.
struct State<W> {
    /// The left half, then the right one.
    halves: [W; 64],
}

impl<W: Word> State<W> {
    #[inline(always)]
    fn zeroed() -> Self {
        Self {
            halves: [W::spread(0); 64],
        }
    }

    /// The counter blocks from `first` on. The lowest bits of a counter count the words of a
    /// register, the next the bits of a word, and the others are the same in the whole batch.
    #[inline(always)]
    fn count_from(&mut self, first: u64) {
        const COUNTING: [u64; 6] = [
            0xAAAA_AAAA_AAAA_AAAA,
            0xCCCC_CCCC_CCCC_CCCC,
            0xF0F0_F0F0_F0F0_F0F0,
            0xFF00_FF00_FF00_FF00,
            0xFFFF_0000_FFFF_0000,
            0xFFFF_FFFF_0000_0000,
        ];
        for byte in 0..8 {
            let bits = (first >> (8 * byte)) as u32;
            for row in 0..8 {
                let place = 8 * row + byte;
                let bit = 64 - IP[8 * row];
                self.halves[place] = W::spread(0_u32.wrapping_sub(bits >> bit & 1));
            }
        }
        let word_bits = W::WORDS.trailing_zeros() as usize;
        for (bit, &place) in PLACE.iter().enumerate().take(word_bits) {
            let mut words = [0; 8];
            for (number, word) in words.iter_mut().enumerate() {
                *word = 0_u64.wrapping_sub(number as u64 >> bit & 1);
            }
            self.halves[place] = W::from_words(&words);
        }
        for (bit, counting) in COUNTING.into_iter().enumerate() {
            self.halves[PLACE[word_bits + bit]] = W::from_words(&[counting; 8]);
        }
    }

    #[inline(always)]
    fn encipher(&mut self, masks: &mut Masks<W::Masks>) {
        let [left, right] = self.halves.as_chunks_mut().0 else {
            return;
        };
        let (mut a, mut b) = (left, right);
        for pass in masks.passes() {
            W::pass(a, b, pass);
            // The halves leave a pass exchanged; the permutations between two passes cancel out.
            (a, b) = (b, a);
        }
    }

    /// Adds the output to `batch`, transposed: in every word, bit `j` of row `i` becomes bit `i` of
    /// row `j`. It works on eight rows at a time, as many as there are registers for.
    #[inline(always)]
    fn add_to(&mut self, batch: &mut [u8]) {
        let low = [
            0x0000_0000_FFFF_FFFF,
            0x0000_FFFF_0000_FFFF,
            0x00FF_00FF_00FF_00FF,
        ];
        let groups = self.halves.as_chunks_mut::<8>().0;
        for group in &mut *groups {
            // Rows that are eight apart: the final permutation puts these together, the last one
            // first.
            group.reverse();
            *group = exchange::<W, 8>(*group, low);
        }
        let low = [
            0x0F0F_0F0F_0F0F_0F0F,
            0x3333_3333_3333_3333,
            0x5555_5555_5555_5555,
        ];
        for (number, bytes) in batch.chunks_exact_mut(64 * W::WORDS).enumerate() {
            let mut eight = groups[0];
            for (row, group) in eight.iter_mut().zip(FINAL) {
                *row = groups[group][number & 7];
            }
            let eight = exchange::<W, 1>(eight, low);
            for (number, bytes) in bytes.chunks_exact_mut(8 * W::WORDS).enumerate() {
                eight[number & 7].add(bytes);
            }
        }
    }

    /// Leaves no keystream on the stack.
    #[inline(always)]
    fn wipe(&mut self) {
        *self = Self::zeroed();
        optimization_barrier(self);
    }
}

/// Three steps of the transposition, on eight rows that are `DISTANCE` apart: each exchanges what
/// lies four, two and one of them apart, the bits that `low` leaves out with those that it names.
#[inline(always)]
fn exchange<W: Word, const DISTANCE: i32>(mut eight: [W; 8], low: [u64; 3]) -> [W; 8] {
    let [four, two, one] = low.map(|low| W::from_words(&[low; 8]));
    for i in 0..4 {
        (eight[i], eight[i + 4]) = W::exchange(eight[i], eight[i + 4], 4 * DISTANCE, four);
    }
    for i in [0, 1, 4, 5] {
        (eight[i], eight[i + 2]) = W::exchange(eight[i], eight[i + 2], 2 * DISTANCE, two);
    }
    for i in [0, 2, 4, 6] {
        (eight[i], eight[i + 1]) = W::exchange(eight[i], eight[i + 1], DISTANCE, one);
    }
    eight
}

/// Where each bit of a counter is among the halves: the initial permutation. Bit 0 is the lowest.
const PLACE: [usize; 64] = {
    let mut places = [0; 64];
    let mut i = 0;
    while i < 64 {
        places[64 - IP[i] as usize] = i;
        i += 1;
    }
    places
};

/// The final permutation: for each number of a bit within a byte of the output, which eight bits of
/// the halves become the bits of that number. Bit 0 is the lowest in the word that a processor
/// reads a block as. Three passes leave the halves exchanged.
const FINAL: [usize; 8] = [7, 3, 6, 2, 5, 1, 4, 0];

/// The circuits as they are, as a compiler orders them.
impl<W: Circuits> Word for W {
    type Masks = RoundMasks;

    const INVERSIONS: [RoundKey; 2] = inversions([[0; 8]; 2]);

    #[inline(always)]
    fn fill(masks: &mut RoundMasks, key: RoundKey) {
        masks.fill(key);
    }

    #[inline(always)]
    fn pass(left: &mut [W; 32], right: &mut [W; 32], masks: &mut [RoundMasks; ROUNDS]) {
        let (mut half, mut other) = (left, right);
        for masks in masks {
            round(half, other, masks);
            (half, other) = (other, half);
        }
    }
}

/// One round: `half` is changed by what `other` and the round key give.
#[inline(always)]
fn round<W: Circuits>(half: &mut [W; 32], other: &[W; 32], masks: &RoundMasks) {
    substitute::<W, 0>(half, other, masks);
    substitute::<W, 1>(half, other, masks);
    substitute::<W, 2>(half, other, masks);
    substitute::<W, 3>(half, other, masks);
    substitute::<W, 4>(half, other, masks);
    substitute::<W, 5>(half, other, masks);
    substitute::<W, 6>(half, other, masks);
    substitute::<W, 7>(half, other, masks);
}

#[inline(always)]
fn substitute<W: Circuits, const BOX: usize>(
    half: &mut [W; 32],
    other: &[W; 32],
    masks: &RoundMasks,
) {
    let mut inputs = [other[0]; 6];
    for (i, input) in inputs.iter_mut().enumerate() {
        *input = other[expanded(BOX, i)].xor(W::spread(masks.bit(BOX, i)));
    }
    let outputs = W::substitute::<BOX>(inputs);
    for (i, output) in outputs.into_iter().enumerate() {
        let bit = permuted(BOX, i);
        half[bit] = half[bit].xor(output);
    }
}
