//! NEON.

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use crate::backend::{Backend, Feature};
use crate::circuits;
use crate::kernel::add_batches;
use crate::schedule::Schedule;
use crate::word::{Circuits, Register};

pub(crate) const BACKENDS: &[(&[Feature], Backend)] =
    &[(&[Feature::Neon], Backend::new("neon", 2048, 1024, neon))];

pub(crate) const ANY: Backend = Backend::new("u64", 2048, 512, add_batches::<u64>);

pub(crate) fn detected(feature: Feature) -> bool {
    feature == Feature::Neon && is_aarch64_feature_detected!("neon")
}

fn neon(schedule: &Schedule, first: u64, data: &mut [u8]) {
    #[target_feature(enable = "neon")]
    fn enabled(schedule: &Schedule, first: u64, data: &mut [u8]) {
        add_batches::<Neon>(schedule, first, data);
    }
    // SAFETY: this function is called through its entry in `BACKENDS` alone, which is given out
    // only where the processor has the feature.
    unsafe { enabled(schedule, first, data) }
}

/// 128 blocks at a time.
#[derive(Clone, Copy)]
struct Neon(uint64x2_t);

impl Register for Neon {
    const WORDS: usize = 2;

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: only in this register's own kernel, which the processor can run (the rule of
        // `simd`).
        Self(unsafe { veorq_u64(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: as for `xor`.
        Self(unsafe { vandq_u64(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: as for `xor`.
        Self(unsafe { vorrq_u64(self.0, other.0) })
    }

    #[inline(always)]
    fn without(self, other: Self) -> Self {
        // SAFETY: as for `xor`.
        Self(unsafe { vbicq_u64(self.0, other.0) })
    }

    #[inline(always)]
    fn left(self, places: i32) -> Self {
        // SAFETY: as for `xor`.
        Self(unsafe { vshlq_u64(self.0, vdupq_n_s64(i64::from(places))) })
    }

    #[inline(always)]
    fn right(self, places: i32) -> Self {
        // SAFETY: as for `xor`. To the left by less than nothing is to the right.
        Self(unsafe { vshlq_u64(self.0, vdupq_n_s64(-i64::from(places))) })
    }

    #[inline(always)]
    fn spread(word: u32) -> Self {
        // SAFETY: as for `xor`.
        Self(unsafe { vreinterpretq_u64_u32(vdupq_n_u32(word)) })
    }

    #[inline(always)]
    fn from_words(words: &[u64; 8]) -> Self {
        // SAFETY: as for `xor`; the array is longer than the register.
        Self(unsafe { vld1q_u64(words.as_ptr()) })
    }

    #[inline(always)]
    fn add(self, data: &mut [u8]) {
        if let Some(bytes) = data.first_chunk_mut::<16>() {
            let place = bytes.as_mut_ptr();
            // SAFETY: as for `xor`; the array has the size of the register, and need not be
            // aligned.
            unsafe {
                vst1q_u8(
                    place,
                    veorq_u8(vld1q_u8(place), vreinterpretq_u8_u64(self.0)),
                )
            };
        }
    }
}

impl Circuits for Neon {
    #[inline(always)]
    fn substitute<const BOX: usize>(inputs: [Self; 6]) -> [Self; 4] {
        circuits::two::substitute::<Self, BOX>(inputs)
    }
}
