//! Attacks on authority, each by the programs as they run: an editor of the repository's file, ways
//! around the guard rails, work without bound.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's own helpers fail the test"
)]

mod rails;
mod rows;
