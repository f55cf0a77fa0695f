//! What went wrong in public bug reports of comparable tools, each case by the programs from end to
//! end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's own helpers fail the test"
)]
