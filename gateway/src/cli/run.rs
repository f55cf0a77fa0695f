//! `run`

use super::CliError;
use crate::config::Config;
use crate::connectors::Connectors;
use crate::service;

/// Runs the gateway until it is told to stop.
pub(super) fn run(config: Config) -> Result<(), CliError> {
    let connectors = Connectors::from_config(&config.own_connectors()).map_err(CliError::Config)?;
    portcullis_host::log::start_kept(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::Start)?;
    let outcome = runtime.block_on(Box::pin(service::run(config, connectors)));
    // Work on the disk that is still under way ends by itself, or with the process.
    runtime.shutdown_background();
    Ok(outcome?)
}
