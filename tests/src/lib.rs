//! What the end-to-end tests, the fault runs and the benchmarks share.
// But for calls to OpenSSL, a peer to measure beside.
#![deny(unsafe_code)]

pub mod bench;
pub mod chaos;
pub mod fleet;
pub mod harness;
pub mod seeds;
pub mod simulation;
