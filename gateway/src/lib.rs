//! The gateway agent: it stands on a resource host and carries out the calls that the central server pushes.
#![deny(unsafe_code)]

#[cfg(windows)]
mod access_list;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connector;
pub mod key_store;
pub mod listener;
pub mod provisioning;
pub mod service;
pub mod state_dir;
