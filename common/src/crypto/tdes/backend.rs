//! The kernel for every register width, and the choice among those that the processor has.

use std::iter;

use super::schedule::Schedule;
#[cfg(feature = "simd")]
use super::simd;
use crate::secret::stack;

/// Bytes of stack that a kernel takes at most: the masks, a batch, and what each round saves.
const DEPTH: usize = 32 * 1024;
/// Bytes of a batch on general registers: four of their own, which share the masks. Miri would take seconds for the others.
#[cfg(not(feature = "simd"))]
const ANY_LEN: usize = if cfg!(miri) { 512 } else { 2048 };

/// An extension of the instruction set that a backend needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// Registers of 512 bits, and gates of three inputs.
    Avx512f = 1,
    /// The same gates on registers of 256 bits.
    Avx512vl = 2,
    /// Registers of 256 bits.
    Avx2 = 4,
    /// Registers of 128 bits on x86-64.
    Sse2 = 8,
    /// Registers of 128 bits on Arm.
    Neon = 16,
}

impl Feature {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Avx512f,
        Self::Avx512vl,
        Self::Avx2,
        Self::Sse2,
        Self::Neon,
    ];
}

/// Extensions that may be used: never more than the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(u8);

impl Features {
    /// None: what every processor can do.
    pub const NONE: Self = Self(0);

    /// Those of this processor; none in a build without the cargo feature `simd`.
    pub fn detected() -> Self {
        #[cfg(feature = "simd")]
        {
            let found = Feature::ALL
                .into_iter()
                .filter(|feature| simd::detected(*feature));
            Self(found.fold(0, |set, feature| set | feature as u8))
        }
        #[cfg(not(feature = "simd"))]
        Self::NONE
    }

    /// These without `feature`.
    #[must_use]
    pub const fn without(self, feature: Feature) -> Self {
        Self(self.0 & !(feature as u8))
    }

    /// Whether `feature` may be used.
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & feature as u8 != 0
    }
}

/// The kernel for one register width. One exists only where the processor has its instructions.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    name: &'static str,
    batch_len: usize,
    add_batches: fn(&Schedule, u64, &mut [u8]),
}

impl Backend {
    /// 64 blocks at a time on any processor.
    #[cfg(feature = "simd")]
    const ANY: Self = simd::ANY;
    #[cfg(not(feature = "simd"))]
    const ANY: Self = Self::new("u64", ANY_LEN, super::kernel::add_batches::<u64>);

    /// `batch_len` may be that of several batches of its registers, which then share the masks of the round keys.
    pub(super) const fn new(
        name: &'static str,
        batch_len: usize,
        add_batches: fn(&Schedule, u64, &mut [u8]),
    ) -> Self {
        Self {
            name,
            batch_len,
            add_batches,
        }
    }

    /// Those that need no more than `features`, the fastest first. The last needs none.
    pub fn available(features: Features) -> impl Iterator<Item = Self> {
        #[cfg(feature = "simd")]
        let wide = simd::BACKENDS
            .iter()
            .filter(move |(needs, _)| needs.iter().all(|feature| features.has(*feature)))
            .map(|(_, backend)| *backend);
        #[cfg(not(feature = "simd"))]
        let wide = iter::empty().filter(move |_| features != Features::NONE);
        wide.chain(iter::once(Self::ANY))
    }

    /// The fastest of this processor.
    pub fn fastest() -> Self {
        Self::available(Features::detected())
            .next()
            .unwrap_or(Self::ANY)
    }

    /// What it is called: `avx512`, `avx512vl`, `avx2`, `sse2`, `neon` or `u64`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Bytes of keystream that it makes at a time.
    pub const fn batch_len(&self) -> usize {
        self.batch_len
    }

    /// Blocks that it enciphers at a time.
    pub(super) const fn batch_blocks(&self) -> u64 {
        (self.batch_len() / super::BLOCK_LEN) as u64
    }

    /// Adds to `data`, whole batches of [`Self::batch_len`] bytes, the keystream from block `first` on, a multiple of a batch's
    /// blocks.
    pub(super) fn add_batches(&self, schedule: &Schedule, first: u64, data: &mut [u8]) {
        if cfg!(windows) {
            // There a function has to save registers that the round before left keystream in.
            stack::wiped_to::<DEPTH, _>(|| (self.add_batches)(schedule, first, data));
        } else {
            (self.add_batches)(schedule, first, data);
        }
    }
}
