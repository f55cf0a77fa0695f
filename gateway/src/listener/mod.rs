//! How sessions with the central server come about, whoever dials, and what is served in them.

pub mod agent;
mod control;
pub mod dial_in;
pub mod dial_out;
pub mod grants;
pub mod keys;
pub mod links;
pub mod measured;
pub mod proxy;
mod refusals;
pub mod run;
mod serve;
mod services;
pub mod status;
