//! `worker`

use super::CliError;
use crate::config::{Config, WorkerKind};
use crate::connectors::Connectors;
use crate::service::worker;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which of the two
    #[arg(long, value_enum)]
    kind: WorkerKind,
}

/// Runs a worker until it is told to stop.
pub(super) fn worker(config: Config, arguments: &Arguments) -> Result<(), CliError> {
    let kind = arguments.kind;
    let own = config.connectors.of(kind);
    let connectors = Connectors::from_config(&own).map_err(CliError::Config)?;
    portcullis_host::log::start_kept(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::Start)?;
    let outcome = runtime.block_on(Box::pin(worker::run(config, kind, connectors)));
    // Work on the disk that is still under way ends by itself, or with the process.
    runtime.shutdown_background();
    Ok(outcome?)
}
