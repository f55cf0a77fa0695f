//! Whether the ports that a start takes can be had.

use std::net::TcpListener;

use super::RunError;
use crate::config::{Config, Dial};

/// What keeps the gateway of this configuration, which does not run, from its ports; they are left
/// again at once.
pub(crate) fn faults(config: &Config) -> Vec<String> {
    // Held until both were tried: they may be the same.
    let mut held = Vec::new();
    let mut faults = Vec::new();
    if let Dial::Listen(address) = config.dial {
        match TcpListener::bind(address) {
            Ok(listener) => held.push(listener),
            Err(source) => faults.push(RunError::listening(address, source).to_string()),
        }
    }
    if let Some(address) = config.watch.settings.listen
        && let Err(source) = TcpListener::bind(address)
    {
        faults.push(RunError::Watch { address, source }.to_string());
    }
    faults
}

/// Whether it takes any.
pub(crate) fn are_taken(config: &Config) -> bool {
    matches!(config.dial, Dial::Listen(_)) || config.watch.settings.listen.is_some()
}
