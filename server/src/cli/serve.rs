//! `portcullis-server serve`: runs the server in the foreground.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use clap::Args;
use tokio::runtime::{Builder, Runtime};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;
use portcullis_host::hardening;

use crate::serve::{ServeError, serve};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Ends with an error where another server is at work on the repository, instead of standing
    /// by until that one is gone.
    #[arg(long)]
    no_wait: bool,
}

/// `portcullis-server serve`
pub(super) fn run(file: Option<PathBuf>, arguments: &ServeArgs) -> Result<(), Box<dyn Error>> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = runtime(threads).map_err(ServeError::Runtime)?;
    let hangups = hangups(&runtime).map_err(ServeError::Runtime)?;
    let config = Config::load(file.as_deref())?;
    portcullis_host::log::start(&config.log);
    if let Err(error) = hardening::allow_open_files() {
        tracing::warn!(%error, "cannot lift the limit on open files: there may be fewer links than gateways");
    }
    Ok(runtime.block_on(serve(config, file, hangups, !arguments.no_wait))?)
}

/// SIGHUP, which from here on ends the program no more: it comes before anything is read, so that
/// no moment of a start is left in which it would.
pub(super) fn hangups(runtime: &Runtime) -> io::Result<Signal> {
    let _inside = runtime.enter();
    signal(SignalKind::hangup())
}

pub(super) fn runtime(threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
}
