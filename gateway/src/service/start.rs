//! The first moments of a process that runs: it has its signals before it reads anything.

use super::{RunError, host, run};
use crate::config::Config;
use crate::connectors::Connectors;

/// A process that is about to run. Whoever asks it by a signal to read its configuration again ends
/// it no more, and what he asked for is done once it runs.
#[derive(Debug)]
pub struct Start {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) hangups: host::Hangups,
}

impl Start {
    /// Nothing has to have been read before.
    ///
    /// # Errors
    /// [`RunError::Runtime`] or [`RunError::Signals`].
    pub fn new() -> Result<Self, RunError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(RunError::Runtime)?;
        let inside = runtime.enter();
        let hangups = host::Hangups::new().map_err(RunError::Signals)?;
        drop(inside);
        Ok(Self { runtime, hangups })
    }

    /// Runs the gateway until it is told to stop (SIGTERM, SIGINT, Ctrl-C).
    ///
    /// # Errors
    /// [`RunError`] where it does not start; nothing was changed then.
    pub fn run(self, config: Config, connectors: Connectors) -> Result<(), RunError> {
        let running = run(config, connectors, self.hangups);
        let outcome = self.runtime.block_on(Box::pin(running));
        // Work on the disk that is still under way ends by itself, or with the process.
        self.runtime.shutdown_background();
        outcome
    }
}
