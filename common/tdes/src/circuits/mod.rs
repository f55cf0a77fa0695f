//! The S-boxes of DES as circuits, found by `common/tdes/examples/sbox_search`.
//!
//! Every gate gives 0 where all six inputs are 0, so no circuit needs an inversion: an output that
//! should be 1 there comes out inverted, and the key schedule makes up for it.

#[cfg(any(test, all(feature = "simd", target_arch = "x86_64")))]
pub(crate) mod three;
pub(crate) mod two;

use crate::word::Circuits;

impl Circuits for u64 {
    #[inline(always)]
    fn substitute<const BOX: usize>(inputs: [Self; 6]) -> [Self; 4] {
        two::substitute::<Self, BOX>(inputs)
    }
}
