//! Fault runs: real processes killed at random, both ends under a fake clock, several servers on
//! one repository, the life of every key, every call in the audit log, calls on real directories;
//! and what has to hold nevertheless.

pub mod audit;
pub mod calls;
pub mod durable;
pub mod keys;
pub mod links;
pub mod rotation;
pub mod seeds;
pub mod servers;
pub mod simulation;
