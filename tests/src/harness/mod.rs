//! Real servers and gateways as processes, each under a temporary folder on loopback, all of them killed when dropped.
//!
//! A [`Site`] is the folder; [`Server`] and [`Gateway`] are set up in it, started, stopped, killed and started again.

mod gateway;
mod process;
mod programs;
mod proxy;
mod scripts;
mod server;
mod site;
mod wine;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

pub use gateway::{Dial, Gateway};
pub use process::{Finished, Process, run, run_to_end};
pub use programs::Programs;
pub use proxy::{Proxy, Recording};
pub use scripts::Scripts;
pub use server::{Admin, Server};
pub use site::{Site, free_port};
pub use wine::{WindowsGateway, Wine};

/// How long anything may take that is awaited, before it counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Why the set-up of a test failed.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// Something around the programs.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program did not do what it was to do.
    #[error("`{command}` ended with {status}\n{output}")]
    Program {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed, on both streams.
        output: String,
    },
    /// What was awaited did not come.
    #[error("waited {waited:?} in vain for {what}\n{log}")]
    Timeout {
        /// What for.
        what: String,
        /// How long.
        waited: Duration,
        /// The end of the log of whoever was to do it.
        log: String,
    },
    /// The programs were not built.
    #[error("cannot find {0}, and cargo did not build it")]
    NotBuilt(PathBuf),
    /// The admin API answered with an error.
    #[error("the admin API said {code:?}: {message}", code = .0.code(), message = .0.message())]
    Api(Box<tonic::Status>),
    /// The admin API could not be reached.
    #[error("the admin API cannot be reached: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// An answer of the admin API lacks a part.
    #[error("the admin API's answer holds no {0}")]
    Incomplete(&'static str),
}

impl From<tonic::Status> for HarnessError {
    fn from(status: tonic::Status) -> Self {
        Self::Api(Box::new(status))
    }
}

impl HarnessError {
    /// Something around the programs failed while `what` was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Asks again and again until `probe` gives something: for state that can be asked for, and does not announce itself.
///
/// # Errors
/// [`HarnessError::Timeout`] after [`PATIENCE`].
pub async fn eventually<T, F, Fut>(what: &str, mut probe: F) -> Result<T, HarnessError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if let Some(found) = probe().await {
            return Ok(found);
        }
        if began.elapsed() > PATIENCE {
            return Err(HarnessError::Timeout {
                what: what.to_owned(),
                waited: began.elapsed(),
                log: String::new(),
            });
        }
    }
}
