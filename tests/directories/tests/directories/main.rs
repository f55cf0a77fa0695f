//! The connectors against real directories and databases. `tests/run directories` names the modules
//! whose server is installed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

mod active_directory;
mod ldap;
mod reconcile;
mod servers;
mod sql;
