//! `worker`

use super::CliError;
use crate::config::{Config, WorkerKind};
use crate::connectors::Connectors;
use crate::service::start::Start;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which of the two
    #[arg(long, value_enum)]
    kind: WorkerKind,
}

/// Runs a worker of the configuration that `load` gives, until it is told to stop.
pub(super) fn worker(
    load: impl FnOnce() -> Result<Config, CliError>,
    arguments: &Arguments,
) -> Result<(), CliError> {
    let start = Start::new()?;
    let config = load()?;
    let kind = arguments.kind;
    let own = config.connectors.of(kind);
    let connectors = Connectors::from_config(&own).map_err(CliError::Config)?;
    portcullis_host::log::start_kept(&config.log);
    Ok(start.worker(config, kind, connectors)?)
}
