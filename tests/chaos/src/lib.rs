//! Fault runs: real processes killed at random, both ends under a fake clock, the life of every
//! key; and what has to hold nevertheless.

pub mod calls;
pub mod keys;
pub mod links;
pub mod rotation;
pub mod seeds;
pub mod simulation;
