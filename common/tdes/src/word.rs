//! What the kernel asks of a register.

use crate::schedule::RoundKey;
use crate::wiring::ROUNDS;

/// A register of `WORDS` words of 64 bits, with gates of two inputs.
pub(crate) trait Register: Copy {
    const WORDS: usize;

    fn xor(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    /// `self & !other`.
    fn without(self, other: Self) -> Self;
    /// Every word shifted towards its high end.
    fn left(self, places: i32) -> Self;
    /// Every word shifted towards its low end.
    fn right(self, places: i32) -> Self;
    /// All ones or all zeros, as `word` is.
    fn spread(word: u32) -> Self;
    /// The first `WORDS` of `words`.
    fn from_words(words: &[u64; 8]) -> Self;
    /// Adds the words to the first bytes of `data`, the lowest byte of a word first. Does nothing
    /// where they are too few.
    fn add(self, data: &mut [u8]);

    /// In every word, exchanges the bits of `a` that are not in `low` with those of `b` that are,
    /// `places` lower.
    #[inline(always)]
    fn exchange(a: Self, b: Self, places: i32, low: Self) -> (Self, Self) {
        let changed = a.right(places).xor(b).and(low);
        (a.xor(changed.left(places)), b.xor(changed))
    }
}

/// Gates of three inputs.
#[cfg(any(test, all(feature = "simd", target_arch = "x86_64")))]
pub(crate) trait Tables: Copy {
    /// Of `TABLE`, for each bit of the three, the bit of number `4a + 2b + c`.
    fn lut<const TABLE: i32>(a: Self, b: Self, c: Self) -> Self;
}

/// The S-boxes as circuits.
pub(crate) trait Circuits: Register {
    /// S-box `BOX`, from 0, on six inputs, the first being the most significant, as of the four
    /// outputs. Those of [`INVERTED`](super::wiring::INVERTED) are inverted.
    fn substitute<const BOX: usize>(inputs: [Self; 6]) -> [Self; 4];
}

/// A register that the kernel runs on.
pub(crate) trait Word: Register {
    /// A round key as the rounds of this register read it.
    type Masks: Copy + Default;

    /// What the round keys make up for in the rounds of this register, even rounds first.
    const INVERSIONS: [RoundKey; 2];

    fn fill(masks: &mut Self::Masks, key: RoundKey);

    /// The rounds of a pass: each changes one half by what the other half and the round key give.
    /// They alternate, and the first changes `left`.
    fn pass(left: &mut [Self; 32], right: &mut [Self; 32], masks: &mut [Self::Masks; ROUNDS]);
}

impl Register for u64 {
    const WORDS: usize = 1;

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }

    #[inline(always)]
    fn without(self, other: Self) -> Self {
        self & !other
    }

    #[inline(always)]
    fn left(self, places: i32) -> Self {
        self << places
    }

    #[inline(always)]
    fn right(self, places: i32) -> Self {
        self >> places
    }

    #[inline(always)]
    fn spread(word: u32) -> Self {
        i64::from(word.cast_signed()).cast_unsigned()
    }

    #[inline(always)]
    fn from_words(words: &[u64; 8]) -> Self {
        words[0]
    }

    #[inline(always)]
    fn add(self, data: &mut [u8]) {
        if let Some(bytes) = data.first_chunk_mut() {
            *bytes = (Self::from_le_bytes(*bytes) ^ self).to_le_bytes();
        }
    }
}
