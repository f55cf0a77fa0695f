//! Measurements beside peers, each in interleaved rounds of one run: whole calls, new links, the
//! cipher, re-encryption; and of a whole fleet on one server.
//!
//! Everything but what is under test is one and the same for every peer: runtime, threads, loopback
//! TCP, payload.
// But for calls to OpenSSL, a peer to measure beside.
#![deny(unsafe_code)]

pub mod cipher;
pub mod constant_time;
pub mod echo;
pub mod figure;
pub mod fleet;
pub mod handshake;
pub mod links;
pub mod peer;
pub mod reencrypt;
pub mod rpc;

/// Why there is no report.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
