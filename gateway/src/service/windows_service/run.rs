//! Runs the gateway under the manager of services, which tells it to stop and to read its
//! configuration again.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use portcullis_host::log::{self, Log, Told};
use tokio::sync::{mpsc, watch};
use tracing::error;
use windows_service::service::ServiceControl;
use windows_service::service_control_handler::{self, ServiceControlHandlerResult as Answer};
use windows_service::{define_windows_service, service_dispatcher};

use super::control::{ControlError, io_error};
use crate::config::{Config, ConfigProblem};
use crate::connectors::Connectors;
use crate::event_log::{EventLog, kinds};
use crate::service::host::{Hangups, ServiceManager};
use crate::service::log_file::LogFile;
use crate::service::reporter::{Phase, Reporter};
use crate::service::{RunError, run_managed};
use crate::state_dir::StateDir;

/// Whoever starts a service outside of its manager.
const NOT_A_SERVICE: i32 = 1063;
/// The exit code of a service that did not start, which `sc query` shows.
const FAILED: u32 = 1;
/// The file of the log, in the state folder.
const LOG: &str = "gateway.log";

/// The configuration that the command line names, for the function that the manager calls.
static CONFIG: OnceLock<Option<PathBuf>> = OnceLock::new();

define_windows_service!(entry, service_main);

/// Runs as the service that the manager has started this process for, until it tells it to stop.
///
/// # Errors
/// [`ControlError::NoManager`] where nobody but a person started it.
pub(crate) fn run(config: Option<PathBuf>) -> Result<(), ControlError> {
    // Called once in a process.
    let _ = CONFIG.set(config);
    // A process with one service is asked for no name.
    service_dispatcher::start("", entry).map_err(|error| match io_error(error) {
        error if error.raw_os_error() == Some(NOT_A_SERVICE) => ControlError::NoManager,
        source => ControlError::Manager { source },
    })
}

/// Why a service does not run.
#[derive(Debug, thiserror::Error)]
enum ServiceError {
    #[error("the configuration is wrong: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<ConfigProblem>),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot start: {0}")]
    Start(io::Error),
}

/// What the manager calls. Its first argument is the name of the service.
fn service_main(arguments: Vec<OsString>) {
    let name = arguments.into_iter().next().unwrap_or_default();
    let (stop, stopped) = watch::channel(false);
    let (ask, asked) = mpsc::channel(1);
    // The handler is there before what it reports by.
    let reporter: Arc<OnceLock<Reporter>> = Arc::default();
    let told = Arc::clone(&reporter);
    let handler = move |control| match control {
        ServiceControl::Stop | ServiceControl::Preshutdown => {
            // At once, so that no second stop comes.
            if let Some(reporter) = told.get() {
                reporter.report(Phase::Stopping);
            }
            stop.send_replace(true);
            Answer::NoError
        }
        ServiceControl::ParamChange => {
            // Where one is asked for already, that one reads what holds now.
            let _ = ask.try_send(());
            Answer::NoError
        }
        ServiceControl::Interrogate => Answer::NoError,
        _ => Answer::NotImplemented,
    };
    let Ok(handle) = service_control_handler::register(&name, handler) else {
        return;
    };
    let reporter = reporter.get_or_init(|| Reporter::new(handle)).clone();
    reporter.report(Phase::Starting);
    let source = name.to_string_lossy();
    let code = match serve(&source, &reporter, stopped, asked) {
        Ok(()) => 0,
        Err(error) => {
            // Where the configuration is wrong nothing is logged yet.
            start_log(&source, &Log::default(), None);
            error!(name: "not_started", "the gateway does not run: {error}");
            FAILED
        }
    };
    reporter.report(Phase::Stopped(code));
}

fn serve(
    source: &str,
    reporter: &Reporter,
    mut stopped: watch::Receiver<bool>,
    asked: mpsc::Receiver<()>,
) -> Result<(), ServiceError> {
    let file = CONFIG.get().cloned().flatten();
    let config =
        Config::load(file.as_deref(), Connectors::problems).map_err(ServiceError::Config)?;
    let connectors = Connectors::from_config(&config.connectors).map_err(ServiceError::Config)?;
    start_log(source, &config.log, Some(&config.state_dir));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServiceError::Start)?;
    let stop = async move {
        // An error says that the manager tells nothing any more, and that is no reason to stop.
        if stopped.wait_for(|stop| *stop).await.is_err() {
            std::future::pending().await
        }
    };
    let running = run_managed(
        config,
        connectors,
        stop,
        Hangups::from_manager(asked),
        ServiceManager::of(reporter.clone()),
    );
    let outcome = runtime.block_on(Box::pin(running));
    // As in a console.
    runtime.shutdown_background();
    Ok(outcome?)
}

/// Nobody reads the standard error of a service: its log is a file of the state folder, and what
/// matters goes to the Event Log. Before the gateway is enrolled there is no such folder, and it
/// does not run.
fn start_log(source: &str, log: &Log, folder: Option<&Path>) {
    let file = folder
        .filter(|folder| StateDir::new(folder).check().is_ok())
        .and_then(|folder| LogFile::open(&folder.join(LOG)).ok());
    let file: Box<dyn Write + Send> = match file {
        Some(file) => Box::new(file),
        None => Box::new(io::stderr()),
    };
    let events = EventLog::open(source).ok();
    let tell = move |told: &Told<'_>| {
        if let (Some(events), Some(kind)) = (&events, kinds::of(told.name, told.level)) {
            events.report(kind, told.text);
        }
    };
    log::start_told(log, file, Box::new(tell));
}
