//! The central server.
//!
//! Depends in one direction only: `cli`, `serve` → `fronts` → `admin` → `access` → `audit`, `tasks`, `provisioning` → `fleet` → `keys` → `repository`.
#![forbid(unsafe_code)]

pub mod access;
mod admin;
pub mod audit;
pub mod cli;
pub mod config;
pub mod fleet;
pub mod fronts;
pub mod keys;
pub mod passwords;
pub mod provisioning;
pub mod repository;
pub mod serve;
pub mod services;
pub mod tasks;
