//! The administrators' command as its users run it: the real program, against a server whose
//! answers the tests choose.

// The whole program is a test: where its helpers panic, a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod audit;
mod calls;
mod exit;
mod fake;
mod fan_out;
mod fleet;
mod import;
mod many_gateways;
mod output;
mod reconcile;
mod self_description;
mod sync;
mod tls;
mod usage;
