//! The gateway agent: it stands on a resource host and carries out the calls that the central
//! server pushes.
//!
//! Arrows mean "depends on", and nothing points back:
//!
//! ```text
//! cli, service → listener → worker → connectors → connector/*, guard → model
//!                listener → key_store    worker → journal → model
//!      service → watch → listener
//! ```
//!
//! * [`cli`] has the verbs of the program, [`service`] runs it under systemd, as a Windows service
//!   or in a console.
//! * [`listener`] opens sessions with the central server, whoever dials, and keeps the keys
//!   (`key_store`).
//! * [`worker`] takes a call from its arrival to its outcome.
//! * [`journal`] has on the disk what was begun, and what came of it.
//! * [`connectors`] is the table of connector types; each has a folder under `connector`.
//! * [`guard`] is the gateway's own word on what any server may do here; it knows no connector.
//! * `watch` tells whoever watches how the gateway is; `service` alone knows it.
//! * [`model`] is what a call is, checked once; `moment` is the clock by which one comes too late.
//!
//! `unsafe` stands in the bindings to the operating system only: `host_crypt` on Unix, and on
//! Windows `access_list`, `connector::process`, `descriptor`, `event_log::source`,
//! `key_store::registry`, `moment`.
#![deny(unsafe_code)]

#[cfg(windows)]
mod access_list;
#[forbid(unsafe_code)]
pub mod cli;
#[forbid(unsafe_code)]
pub mod config;
pub mod connector;
#[forbid(unsafe_code)]
pub mod connectors;
#[cfg(windows)]
mod descriptor;
#[forbid(unsafe_code)]
mod doctor;
#[cfg(any(windows, test))]
mod event_log;
#[forbid(unsafe_code)]
pub mod guard;
#[cfg(unix)]
mod host_crypt;
#[forbid(unsafe_code)]
pub mod journal;
pub mod key_store;
#[forbid(unsafe_code)]
pub mod listener;
#[forbid(unsafe_code)]
pub mod model;
mod moment;
#[cfg(windows)]
#[forbid(unsafe_code)]
mod registry_error;
#[forbid(unsafe_code)]
pub mod service;
#[forbid(unsafe_code)]
pub mod state_dir;
#[forbid(unsafe_code)]
mod watch;
#[forbid(unsafe_code)]
pub mod worker;
