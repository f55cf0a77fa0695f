//! Measurements beside peers, each in interleaved rounds of one run: whole calls, new links, the
//! cipher, re-encryption, imports, reconciliation, TLS around the channel; and of a whole fleet on
//! one server, and what an idle gateway takes.
//!
//! Everything but what is under test is one and the same for every peer: runtime, threads, loopback
//! TCP, payload.
// But for calls to OpenSSL, a peer to measure beside.
#![deny(unsafe_code)]

pub mod bulk;
pub mod certificates;
pub mod cipher;
pub mod constant_time;
pub mod echo;
pub mod figure;
pub mod fleet;
pub mod footprint;
pub mod handshake;
pub mod links;
pub mod peer;
mod processor;
pub mod reconcile;
pub mod reencrypt;
pub mod rpc;
pub mod tls;

/// Has a server or gateway of the tests log as one that is installed does: what they log otherwise
/// is for people who look for a fault.
fn log_as_installed(config: &std::path::Path) {
    use portcullis_tests::harness::OrFail as _;
    let text = std::fs::read_to_string(config).or_fail("read a configuration");
    let text = text.replace("level = \"debug\"", "level = \"info\"");
    std::fs::write(config, text).or_fail("write a configuration");
}

/// Why there is no report.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
