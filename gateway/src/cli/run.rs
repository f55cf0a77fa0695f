//! `run`

use super::CliError;
use crate::config::Config;
use crate::connectors::Connectors;
use crate::service::start::Start;

/// Runs the gateway of the configuration that `load` gives, until it is told to stop.
pub(super) fn run(load: impl FnOnce() -> Result<Config, CliError>) -> Result<(), CliError> {
    let start = Start::new()?;
    let config = load()?;
    let connectors = Connectors::from_config(&config.own_connectors()).map_err(CliError::Config)?;
    portcullis_host::log::start_kept(&config.log);
    Ok(start.run(config, connectors)?)
}
