//! A server, a relay and gateways on three hosts, which are network namespaces: the server and the
//! gateways reach the relay, and nobody else reaches them. Run by the suite `dmz`, as root.

// The whole program is a test: where its helpers panic, a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod ciphertext;
mod cuts;
mod flood;
mod hosts;
mod proxy;
mod tls;
