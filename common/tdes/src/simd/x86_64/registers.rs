//! The registers of x86-64.

use std::arch::x86_64::*;

use crate::circuits;
use crate::word::{Circuits, Register, Tables};

/// `c ? a : b`, as a table of three inputs.
const CHOOSE: i32 = 0b1110_0100;

/// 64 blocks at a time.
#[derive(Clone, Copy)]
pub(super) struct Scalar(u64);

/// 128 blocks at a time.
#[derive(Clone, Copy)]
pub(super) struct Sse2(__m128i);

/// 256 blocks at a time.
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256i);

/// 256 blocks at a time, with gates of three inputs.
#[derive(Clone, Copy)]
pub(super) struct Avx512Vl(__m256i);

/// 512 blocks at a time, with gates of three inputs.
#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512i);

macro_rules! register {
    (
        $name:ident($inner:ty), $words:literal words, $xor:ident, $and:ident, $or:ident, $andnot:ident,
        $left:ident, $right:ident, $spread:ident, $load:ident, $store:ident $(, $table:ident)?
    ) => {
        impl Register for $name {
            const WORDS: usize = $words;

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                // SAFETY: only in this register's own kernel, which the processor can run (the rule
                // of `simd`).
                Self(unsafe { $xor(self.0, other.0) })
            }

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                // SAFETY: as for `xor`.
                Self(unsafe { $and(self.0, other.0) })
            }

            #[inline(always)]
            fn or(self, other: Self) -> Self {
                // SAFETY: as for `xor`.
                Self(unsafe { $or(self.0, other.0) })
            }

            #[inline(always)]
            fn without(self, other: Self) -> Self {
                // SAFETY: as for `xor`.
                Self(unsafe { $andnot(other.0, self.0) })
            }

            #[inline(always)]
            fn left(self, places: i32) -> Self {
                // SAFETY: as for `xor`.
                Self(unsafe { $left(self.0, _mm_cvtsi32_si128(places)) })
            }

            #[inline(always)]
            fn right(self, places: i32) -> Self {
                // SAFETY: as for `xor`.
                Self(unsafe { $right(self.0, _mm_cvtsi32_si128(places)) })
            }

            #[inline(always)]
            fn spread(word: u32) -> Self {
                // SAFETY: as for `xor`.
                Self(unsafe { $spread(word.cast_signed()) })
            }

            #[inline(always)]
            fn from_words(words: &[u64; 8]) -> Self {
                // SAFETY: as for `xor`; the array is no shorter than the register, and need not be
                // aligned.
                Self(unsafe { $load(words.as_ptr().cast()) })
            }

            #[inline(always)]
            fn add(self, data: &mut [u8]) {
                if let Some(bytes) = data.first_chunk_mut::<{ 8 * $words }>() {
                    let place = bytes.as_mut_ptr();
                    // SAFETY: as for `xor`; the array has the size of the register, and need not be
                    // aligned.
                    unsafe { $store(place.cast(), $xor($load(place.cast()), self.0)) };
                }
            }

            $(
                #[inline(always)]
                fn exchange(a: Self, b: Self, places: i32, low: Self) -> (Self, Self) {
                    // SAFETY: as for `xor`.
                    let choose = |a: Self, b: Self| Self(unsafe { $table::<CHOOSE>(a.0, b.0, low.0) });
                    (choose(a, b.left(places)), choose(a.right(places), b))
                }
            )?
        }
    };
}

register!(
    Sse2(__m128i),
    2 words,
    _mm_xor_si128,
    _mm_and_si128,
    _mm_or_si128,
    _mm_andnot_si128,
    _mm_sll_epi64,
    _mm_srl_epi64,
    _mm_set1_epi32,
    _mm_loadu_si128,
    _mm_storeu_si128
);
register!(
    Avx2(__m256i),
    4 words,
    _mm256_xor_si256,
    _mm256_and_si256,
    _mm256_or_si256,
    _mm256_andnot_si256,
    _mm256_sll_epi64,
    _mm256_srl_epi64,
    _mm256_set1_epi32,
    _mm256_loadu_si256,
    _mm256_storeu_si256
);
register!(
    Avx512Vl(__m256i),
    4 words,
    _mm256_xor_si256,
    _mm256_and_si256,
    _mm256_or_si256,
    _mm256_andnot_si256,
    _mm256_sll_epi64,
    _mm256_srl_epi64,
    _mm256_set1_epi32,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_ternarylogic_epi64
);
register!(
    Avx512(__m512i),
    8 words,
    _mm512_xor_si512,
    _mm512_and_si512,
    _mm512_or_si512,
    _mm512_andnot_si512,
    _mm512_sll_epi64,
    _mm512_srl_epi64,
    _mm512_set1_epi32,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_ternarylogic_epi64
);

impl Register for Scalar {
    const WORDS: usize = 1;

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(self.0.xor(other.0))
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(self.0.and(other.0))
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }

    #[inline(always)]
    fn without(self, other: Self) -> Self {
        Self(self.0.without(other.0))
    }

    #[inline(always)]
    fn left(self, places: i32) -> Self {
        Self(self.0.left(places))
    }

    #[inline(always)]
    fn right(self, places: i32) -> Self {
        Self(self.0.right(places))
    }

    #[inline(always)]
    fn spread(word: u32) -> Self {
        Self(u64::spread(word))
    }

    #[inline(always)]
    fn from_words(words: &[u64; 8]) -> Self {
        Self(words[0])
    }

    #[inline(always)]
    fn add(self, data: &mut [u8]) {
        self.0.add(data);
    }
}

impl Tables for Avx512Vl {
    #[inline(always)]
    fn lut<const TABLE: i32>(a: Self, b: Self, c: Self) -> Self {
        // SAFETY: as for `xor`.
        Self(unsafe { _mm256_ternarylogic_epi64::<TABLE>(a.0, b.0, c.0) })
    }
}

impl Tables for Avx512 {
    #[inline(always)]
    fn lut<const TABLE: i32>(a: Self, b: Self, c: Self) -> Self {
        // SAFETY: as for `xor`.
        Self(unsafe { _mm512_ternarylogic_epi64::<TABLE>(a.0, b.0, c.0) })
    }
}

macro_rules! three_inputs {
    ($name:ident) => {
        impl Circuits for $name {
            #[inline(always)]
            fn substitute<const BOX: usize>(inputs: [Self; 6]) -> [Self; 4] {
                circuits::three::substitute::<Self, BOX>(inputs)
            }
        }
    };
}

three_inputs!(Avx512Vl);
three_inputs!(Avx512);
