//! The power of the machines that simulated gateways run on.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::SimulatedGateway;
use crate::harness::OrFail as _;

/// Threads for the files of one host's gateways.
const FILE_THREADS: usize = 16;

/// Runs gateways until it is cut or dropped: then every task and every socket of theirs is gone at
/// once, as when the power fails, and nothing of them but their folders is left.
#[derive(Debug)]
pub struct Host {
    runtime: Option<Runtime>,
}

impl Host {
    /// Starts these gateways on so many threads.
    pub fn start(
        gateways: impl IntoIterator<Item = Arc<SimulatedGateway>>,
        threads: usize,
    ) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(FILE_THREADS)
            .enable_all()
            .build()
            .or_fail("start a host of simulated gateways");
        for gateway in gateways {
            runtime.spawn(gateway.run());
        }
        Self {
            runtime: Some(runtime),
        }
    }

    /// The power fails.
    pub fn cut(mut self) {
        self.shut();
    }

    fn shut(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.shut();
    }
}
