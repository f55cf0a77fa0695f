//! The kernel for one register width, and what it needs of the processor.

use crate::schedule::Schedule;

/// Bytes of stack that a kernel takes at most: the masks, a batch, and what each round saves.
pub const STACK: usize = 32 * 1024;

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
pub struct Features(pub(crate) u8);

impl Features {
    /// None: what every processor can do.
    pub const NONE: Self = Self(0);

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
    least_len: usize,
    add_batches: fn(&Schedule, u64, &mut [u8]),
}

impl Backend {
    /// `least_len` is what its registers hold; `batch_len` may be several times that, which then
    /// share the masks of the round keys.
    pub(crate) const fn new(
        name: &'static str,
        batch_len: usize,
        least_len: usize,
        add_batches: fn(&Schedule, u64, &mut [u8]),
    ) -> Self {
        Self {
            name,
            batch_len,
            least_len,
            add_batches,
        }
    }

    /// What it is called: `avx512`, `avx512vl`, `avx2`, `sse2`, `neon` or `u64`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Bytes of keystream that it makes at a time at the least cost for each.
    #[inline]
    pub const fn batch_len(&self) -> usize {
        self.batch_len
    }

    /// Bytes of keystream that it makes at the least cost in all, for a key that enciphers little:
    /// [`Self::batch_len`] is a multiple.
    #[inline]
    pub const fn least_len(&self) -> usize {
        self.least_len
    }

    /// Adds to `data`, whole multiples of [`Self::least_len`] bytes, the keystream from block
    /// `first` on, a multiple of that many bytes' blocks.
    ///
    /// It wipes its own stack, but for one case: on Windows a function has to save registers that
    /// the round before left keystream in, and the caller wipes the [`STACK`] below its own frame.
    #[inline]
    pub fn add_batches(&self, schedule: &Schedule, first: u64, data: &mut [u8]) {
        (self.add_batches)(schedule, first, data);
    }
}
