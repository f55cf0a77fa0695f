//! `portcullis-server relay`: a relay in the foreground.

use std::path::Path;

use clap::Args;
use portcullis_host::{hardening, output};

use crate::relay::{DEFAULT_FILE, RelayConfig, RelayError, relay};

#[derive(Debug, Args)]
pub(super) struct RelayArgs {
    /// Only check the configuration, and start nothing.
    #[arg(long)]
    validate: bool,
}

/// `portcullis-server relay`
pub(super) fn run(
    arguments: &RelayArgs,
    file: Option<&Path>,
) -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = super::serve::runtime(threads).map_err(RelayError::Runtime)?;
    let hangups = super::serve::hangups(&runtime).map_err(RelayError::Signals)?;
    let config = RelayConfig::load(file)?;
    if arguments.validate {
        let file = file.unwrap_or(Path::new(DEFAULT_FILE));
        output::print(&format!("configuration  {} is valid\n", file.display()))?;
        return Ok(());
    }
    portcullis_host::log::start(&config.log);
    if let Err(error) = hardening::allow_open_files() {
        tracing::warn!(%error, "cannot lift the limit on open files: there may be fewer connections than `connections`");
    }
    Ok(runtime.block_on(relay(config, hangups))?)
}
