//! Simulated gateways, thousands to a process: the gateway's own agent, key rules and file store
//! over real sockets, with a connector that does nothing. A [`Host`] stands for a machine's power:
//! gateways on it live until it is cut, and their folders outlive it.

mod echo;
mod gateway;
mod host;
mod setup;
mod store;

use std::path::PathBuf;

use crate::harness::OrFail as _;

pub use echo::ECHO;
pub use gateway::SimulatedGateway;
pub use host::Host;
pub use setup::SimulatedFleet;
pub use store::{CrashAt, Fuse, Held};

/// Where the folders of simulated gateways lie: in memory where the system has room for files
/// there. The disks of a thousand hosts are not this one's, and the server is to have this one for
/// itself.
pub fn folder() -> tempfile::TempDir {
    let shared = PathBuf::from("/dev/shm");
    let within = if shared.is_dir() {
        shared
    } else {
        std::env::temp_dir()
    };
    tempfile::Builder::new()
        .prefix("portcullis-fleet-")
        .tempdir_in(within)
        .or_fail("make a folder for simulated gateways")
}
