//! What the end-to-end tests, the fault runs and the benchmarks share: real programs as processes,
//! and simulated gateways.

pub mod fleet;
pub mod harness;
