//! `portcullis-server serve`: runs the server in the foreground.

use std::io;
use std::path::PathBuf;

use tokio::runtime::{Builder, Runtime};

use crate::config::Config;
use portcullis_host::hardening;

use crate::serve::{ServeError, serve};

/// `portcullis-server serve`
pub(super) fn run(config: Config, file: Option<PathBuf>) -> Result<(), ServeError> {
    portcullis_host::log::start(&config.log);
    if let Err(error) = hardening::allow_open_files() {
        tracing::warn!(%error, "cannot lift the limit on open files: there may be fewer links than gateways");
    }
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    runtime(threads)
        .map_err(ServeError::Runtime)?
        .block_on(serve(config, file))
}

pub(super) fn runtime(threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
}
