//! The central server.
//!
//! Its folders depend on one another in one direction only: `cli`, `serve` → `fronts` → `admin` →
//! `access` → `tasks` → `provisioning`, `passwords` → `fleet`, `audit` → `keys` → `repository` →
//! `config`. A front translates, `admin` holds the use cases, and what is below knows neither.
//! `login` says who somebody is who presents a password or a session, for the fronts and `admin`.
//! `peers` are the links to other servers on the repository, to which `admin` forwards.
//! `watch` tells how the server is, and `serve` alone knows it.
#![forbid(unsafe_code)]

pub mod access;
mod admin;
pub mod approvals;
pub mod audit;
pub mod cli;
pub mod config;
mod doctor;
pub mod fleet;
mod forward;
pub mod fronts;
pub mod keys;
pub mod login;
pub mod passwords;
pub mod peers;
pub mod provisioning;
pub mod relay;
pub mod repository;
pub mod serve;
pub mod servers;
pub mod services;
pub mod tasks;
mod watch;
pub mod withdrawals;
