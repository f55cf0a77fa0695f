//! Tells the manager of services of Windows how far the program is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;
use windows_service::service::{
    ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::ServiceStatusHandle;

/// How long the manager waits for the start to go on.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// And for the stop: calls under way have 30 s, and connectors some more to let go.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It was started, and does not work yet.
    Starting,
    /// It works.
    Running,
    /// It carries calls to their end.
    Stopping,
    /// It ends now; with an exit code of its own where it failed.
    Stopped(u32),
}

/// The manager that started this program.
#[derive(Clone, Debug)]
pub(super) struct Reporter {
    handle: ServiceStatusHandle,
    /// What was told last. Nothing goes back: a start that is stopped does not run any more.
    told: Arc<Mutex<Option<Phase>>>,
}

impl Reporter {
    /// Nothing was told yet.
    pub(super) fn new(handle: ServiceStatusHandle) -> Self {
        Self {
            handle,
            told: Arc::default(),
        }
    }

    pub(super) fn report(&self, phase: Phase) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told >= Some(phase) {
            return;
        }
        *told = Some(phase);
        if let Err(error) = self.handle.set_service_status(status(phase)) {
            warn!("cannot tell the manager of services: {error}");
        }
    }
}

fn status(phase: Phase) -> ServiceStatus {
    let (current_state, wait_hint) = match phase {
        Phase::Starting => (ServiceState::StartPending, START_PATIENCE),
        Phase::Running => (ServiceState::Running, Duration::ZERO),
        Phase::Stopping => (ServiceState::StopPending, STOP_PATIENCE),
        Phase::Stopped(_) => (ServiceState::Stopped, Duration::ZERO),
    };
    let controls_accepted = match phase {
        // Preshutdown comes before the shutdown, which leaves no time for calls to end.
        Phase::Running => {
            ServiceControlAccept::STOP
                | ServiceControlAccept::PRESHUTDOWN
                | ServiceControlAccept::PARAM_CHANGE
        }
        _ => ServiceControlAccept::empty(),
    };
    let exit_code = match phase {
        Phase::Stopped(code) if code != 0 => ServiceExitCode::ServiceSpecific(code),
        _ => ServiceExitCode::NO_ERROR,
    };
    ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state,
        controls_accepted,
        exit_code,
        checkpoint: u32::from(wait_hint > Duration::ZERO),
        wait_hint,
        process_id: None,
    }
}
