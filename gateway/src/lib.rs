//! The gateway agent: it stands on a resource host and carries out the calls that the central server pushes.
//!
//! `unsafe` stands in the bindings to Windows only: `access_list`, `connector::process`, `key_store::registry`.
#![deny(unsafe_code)]

#[cfg(windows)]
mod access_list;
#[forbid(unsafe_code)]
pub mod cli;
#[forbid(unsafe_code)]
pub mod clock;
#[forbid(unsafe_code)]
pub mod config;
pub mod connector;
#[forbid(unsafe_code)]
pub mod connectors;
#[forbid(unsafe_code)]
pub mod guard;
pub mod key_store;
#[forbid(unsafe_code)]
pub mod listener;
#[forbid(unsafe_code)]
pub mod model;
#[forbid(unsafe_code)]
pub mod provisioning;
#[forbid(unsafe_code)]
pub mod service;
#[forbid(unsafe_code)]
pub mod state_dir;
