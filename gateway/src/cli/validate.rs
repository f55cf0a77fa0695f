//! `validate`

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use portcullis_tls::Side;
use tokio::time::timeout;

use super::{CliError, say};
use crate::config::{Config, Dial, Proxy};
use crate::connector::secret_file;
use crate::connectors::Connectors;
use crate::journal;
use crate::key_store;
use crate::listener::proxy;
use crate::service::ports;
use crate::state_dir::StateDir;

/// How long one address of the server is tried.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a proxy may take to reach the server.
const PROXY_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Connect to the port of the server in [dial_out], too, and leave again
    #[arg(long)]
    connect: bool,
}

/// Checks all that `run` and the calls after it would need, and changes nothing.
pub(super) fn validate(config: &Config, arguments: &Arguments) -> Result<(), CliError> {
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    match Connectors::from_config(&config.connectors) {
        Ok(connectors) => {
            let inspection = connectors.inspect_of(config);
            found.extend(inspection.faults);
            notes.extend(inspection.notes);
        }
        Err(problems) => found.extend(problems.iter().map(ToString::to_string)),
    }
    let folder = StateDir::of(config);
    let running = folder.is_running().unwrap_or_else(|error| {
        found.push(error.to_string());
        false
    });
    // A store that lies in the folder has the same problem once more.
    if let Err(error) = key_store::open(config).load() {
        found.push(error.to_string());
        found.dedup();
    }
    for (_, folder) in StateDir::with_journals(config) {
        match journal::show(&folder) {
            Ok(shown) => found.extend(shown.and_then(|shown| shown.fault)),
            Err(error) => found.push(error.to_string()),
        }
    }
    // Root looks as the user whose the folder is.
    let key =
        |path: &Path, longest| secret_file::read_for_owner_of(&config.state_dir, path, longest);
    let tls = config.tls.as_ref();
    if let Some(Err(error)) = tls.map(|tls| portcullis_tls::check(Side::Gateway, tls, key)) {
        found.push(error.to_string());
    }
    found.dedup();
    match running {
        false => found.extend(ports::faults(config)),
        true if ports::are_taken(config) => {
            notes.push("the gateway is running: its ports were not tried".to_owned());
        }
        true => {}
    }
    match way(config, arguments.connect) {
        Ok(note) => notes.extend(note),
        Err(problem) => found.push(problem),
    }
    if !found.is_empty() {
        return Err(CliError::Invalid(found));
    }
    say("everything is in order")?;
    notes.iter().try_for_each(|note| say(note))
}

/// Tries what can be tried of the way from the gateway to the server; answers what should be known
/// of it.
fn way(config: &Config, connect: bool) -> Result<Option<String>, String> {
    match &config.dial {
        Dial::Listen(address) if connect => Ok(Some(format!(
            "the server dials this gateway, so there is nothing to connect to; `portcullis gateway ping NAME` on the server tries the way to port {}",
            address.port()
        ))),
        Dial::Listen(_) => Ok(None),
        Dial::Out {
            server,
            proxy: Some(proxy),
            ..
        } if connect => reach_through(proxy, &config.state_dir, server).map(Some),
        Dial::Out { server, .. } if connect => reach(server).map(Some),
        Dial::Out { server, .. } => Ok(Some(format!(
            "whether {server} can be reached was not tried: `validate --connect` does"
        ))),
    }
}

/// Has the proxy connect to the server's port, and leaves.
fn reach_through(proxy: &Proxy, owner_of: &Path, server: &str) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let connecting = async {
        let connecting = proxy::connect_by(Some(owner_of), proxy, server);
        timeout(PROXY_PATIENCE, connecting).await
    };
    match runtime.block_on(connecting) {
        Ok(Ok(_)) => Ok(format!(
            "{server} can be reached through the proxy at {}; who answers there is shown by a session alone",
            proxy.address
        )),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "the proxy at {} has not connected to {server} within {} s",
            proxy.address,
            PROXY_PATIENCE.as_secs()
        )),
    }
}

/// Connects to the server's port, and leaves.
fn reach(server: &str) -> Result<String, String> {
    let addresses = server
        .to_socket_addrs()
        .map_err(|error| format!("{server} has no address: {error}"))?;
    let mut failed = format!("{server} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
            Ok(_) => {
                return Ok(format!(
                    "{server} can be reached, at {address}; who answers there is shown by a session alone"
                ));
            }
            Err(error) => {
                failed = format!("cannot reach the server at {server} ({address}): {error}")
            }
        }
    }
    Err(failed)
}
