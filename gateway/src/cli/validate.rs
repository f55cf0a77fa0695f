//! `validate`

use std::io;
use std::net::TcpListener;

use super::{CliError, say};
use crate::config::{Config, Dial};
use crate::connectors::Connectors;
use crate::key_store;
use crate::state_dir::StateDir;

/// Checks all that `run` would, and changes nothing.
pub(super) fn validate(config: &Config) -> Result<(), CliError> {
    let mut found = Vec::new();
    if let Err(problems) = Connectors::from_config(&config.connectors) {
        found.extend(problems.iter().map(ToString::to_string));
    }
    let folder = StateDir::new(&config.state_dir);
    let running = folder.is_running().unwrap_or_else(|error| {
        found.push(error.to_string());
        false
    });
    // A store that lies in the folder has the same problem once more.
    if let Err(error) = key_store::open(config).load() {
        found.push(error.to_string());
        found.dedup();
    }
    if !running && let Some(problem) = port_problem(&config.dial) {
        found.push(problem);
    }
    if !found.is_empty() {
        return Err(CliError::Invalid(found));
    }
    say("everything is in order")?;
    if running {
        say("the gateway is running: its port was not tried")?;
    }
    Ok(())
}

/// Could the gateway listen? The port is tried, and left at once.
fn port_problem(dial: &Dial) -> Option<String> {
    let Dial::Listen(address) = dial else {
        return None;
    };
    let error = TcpListener::bind(address).err()?;
    Some(match error.kind() {
        io::ErrorKind::AddrInUse => crate::service::RunError::PortInUse(*address).to_string(),
        _ => crate::service::RunError::Listen {
            address: *address,
            source: error,
        }
        .to_string(),
    })
}
