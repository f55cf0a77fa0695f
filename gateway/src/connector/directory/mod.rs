//! The way to a directory over LDAP (RFC 4511), shared by the connectors that speak it.
//!
//! ```text
//!   connector (ldap, active-directory)
//!        │ asks for entries and changes
//!   pool ─┬─ link ── TLS ── server     one request at a time on each connection;
//!         ├─ link ── TLS ── server     more at a time are more connections
//!         └─ …
//! ```
//!
//! Nothing is sent before TLS stands, but the request for it. Nothing that a directory says is
//! trusted: messages are bounded (`max_message`), nothing in them nests but what the grammar nests,
//! every wait has an end, and nothing is read before somebody wants it.

mod account;
pub(crate) mod ber;
mod change;
mod compare;
pub(crate) mod connector;
mod create;
mod describe;
pub(crate) mod dialect;
pub(crate) mod dn;
pub(crate) mod failures;
pub(crate) mod fault;
pub(crate) mod filter;
#[cfg(feature = "fuzzing")]
pub mod fuzzed;
pub(crate) mod gathered;
mod handshake;
pub(crate) mod link;
mod lockout;
mod log_in;
mod look;
mod members;
mod memberships;
pub(crate) mod message;
pub(crate) mod objects;
pub(crate) mod pages;
mod parked;
pub(crate) mod pool;
mod reach;
mod renewal;
pub(crate) mod schema;
mod search;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod settings;
mod standing;
pub(crate) mod sync_token;
pub(crate) mod tls;
pub(crate) mod together;
pub(crate) mod values;
mod verbs;

use portcullis_host::text::printable;

/// Characters of a directory's own words that are shown.
const MOST_WORDS: usize = 500;

/// A directory's own words, such that they steer no terminal and fill no log.
pub(crate) fn words(text: &str) -> String {
    let short: String = text
        .trim_end_matches('\0')
        .chars()
        .take(MOST_WORDS)
        .collect();
    printable(&short)
}
