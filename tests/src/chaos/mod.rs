//! Fault runs: real processes killed at random, and what has to hold nevertheless.

pub mod calls;
pub mod keys;
pub mod links;
pub mod rotation;
