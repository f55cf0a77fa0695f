//! Measurements of the sealed channel beside its peers: plaintext, and TLS 1.3 with certificates on both sides; and of
//! re-encryption beside a bare read and write-back.
//!
//! Everything but the layer under test is one and the same for every peer: runtime, threads, loopback TCP, tonic, service, payload.

pub mod cipher;
pub mod links;
pub mod measure;
pub mod memory;
pub mod peer;
pub mod reencrypt;
pub mod report;
pub mod run;
pub mod service;

use std::time::Duration;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds; each visits every peer in turn.
    pub rounds: usize,
    /// How long one figure of one round is measured.
    pub slice: Duration,
    /// Links held open for the measurement of memory.
    pub idle_links: usize,
}

/// Payload sizes in bytes.
pub const PAYLOADS: [usize; 3] = [256, 1024, 16 * 1024];
/// Calls in flight at once, on one link.
pub const IN_FLIGHT: [usize; 3] = [1, 16, 256];
