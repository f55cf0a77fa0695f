//! The S-boxes of DES as circuits, found by `common/examples/sbox_search`.
//!
//! Every gate gives 0 where all six inputs are 0, so no circuit needs an inversion: an output that should be 1 there
//! comes out inverted, and the key schedule makes up for it.

#[cfg(any(test, all(feature = "simd", target_arch = "x86_64")))]
pub(super) mod three;
pub(super) mod two;

use super::schedule::{RoundKey, inversions};

/// The outputs of each circuit that come out inverted: the S-box of zero, output 1 being the highest of four bits.
pub(super) const INVERTED: [u8; 8] = [14, 15, 10, 7, 2, 12, 4, 13];

/// What the round keys make up for where the circuits are used as they are.
pub(super) const INVERSIONS: [RoundKey; 2] = inversions([[0; 8]; 2]);
