//! The connectors against real directories and databases. `tests/run directories` names the modules
//! whose server is installed.
//!
//! What no server does that runs here is played by one that lies: a relay before Samba (`Quirks`),
//! and a server of answers beside the code (`gateway/src/connector/ldap/tests`).
//!
//! `CASES.md` beside this crate's manifest lists what is shown, case by case, and what is not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

mod active_directory;
mod ldap;
mod listed;
mod reconcile;
mod servers;
mod sql;
mod windows;
