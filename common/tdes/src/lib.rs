//! Triple DES (SP 800-67r2, TDEA with keying option 1): one block at a time for key wrap, and
//! counter mode for all else.
//!
//! Counter mode is bitsliced: bit `i` of every block of a batch stands in one wide register, so
//! that a gate of a circuit works on as many blocks as the register has bits. The S-boxes are such
//! circuits (`circuits`), the permutations are wiring. There is no table, and neither a branch nor
//! an address depends on a secret.
//!
//! `kernel` is one source for every register width; `choice` gives those that the processor has.
//! Keys and schedules erase themselves on drop; where they stand in memory is the caller's matter.

// Without wide registers nothing here is unsafe; with them, only `simd`.
#![cfg_attr(not(feature = "simd"), forbid(unsafe_code))]

mod backend;
mod block;
mod choice;
mod circuits;
mod kernel;
#[cfg(test)]
mod sboxes;
mod schedule;
mod simd;
#[cfg(test)]
mod tests;
mod wiring;
mod word;

pub use backend::{Backend, Feature, Features, STACK};
pub use block::Tdes;
pub use schedule::Schedule;

/// Bytes of a block.
pub const BLOCK_LEN: usize = 8;
/// Bytes of a key, parity included.
pub const KEY_LEN: usize = 24;
