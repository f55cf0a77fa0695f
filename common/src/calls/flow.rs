//! What the two directions of a call have in common on both sides.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::incoming::Incoming;
use super::outgoing::Outgoing;

/// The two directions of one call.
pub(super) trait Flow {
    fn outgoing(&mut self) -> &mut Outgoing;
    fn incoming(&mut self) -> &mut Incoming;
}

/// Calls by their numbers.
pub(super) type Calls<C> = HashMap<u64, C, BuildHasherDefault<NumberHasher>>;

/// Spreads numbers that were counted up. Whoever chooses them otherwise gains little: there are never many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
