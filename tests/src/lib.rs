//! What the end-to-end tests, the fault runs and the benchmarks share.
#![forbid(unsafe_code)]

pub mod bench;
pub mod chaos;
pub mod harness;
pub mod simulation;
