//! The manager of services of Windows: to install, remove, start, stop and look at gateways.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use windows_registry::LOCAL_MACHINE;
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceSidType,
    ServiceStartType, ServiceState, ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess as Access};

use crate::registry_error;
use crate::service::instance::{Instance, SERVICE};
use crate::service::reporter::STOP_PATIENCE;

const ACCESS_DENIED: i32 = 5;
const NO_SUCH_SERVICE: i32 = 1060;
const NOT_ACTIVE: i32 = 1062;
const ALREADY_RUNNING: i32 = 1056;
const MARKED_FOR_DELETION: i32 = 1072;
/// How often the manager is asked whether a service has got there.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long a start may take.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// After how long a gateway that failed is started again: the first, the second and every further
/// time within a day.
const RESTARTS: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
];
const DAY: Duration = Duration::from_hours(24);
const DESCRIPTION: &str =
    "Carries out provisioning calls of the central Portcullis server on this host.";
/// Where the manager keeps what is installed.
const SERVICES: &str = r"SYSTEM\CurrentControlSet\Services";

/// Why the manager did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// Who asks is no administrator.
    #[error(
        "this is for administrators: open a console with \"Run as administrator\" and try again"
    )]
    Denied,
    /// There is no such service.
    #[error("there is no service {0} on this host: `portcullis-gateway service install` makes it")]
    NotInstalled(String),
    /// It was removed while somebody still looked at it.
    #[error(
        "{0} is being removed: close the consoles and lists of services that show it, then try again"
    )]
    Leaving(String),
    /// It did not get there.
    #[error(
        "{service} did not {action}: it is {state}. Its events (Event Viewer, Application log, source {service}) say why"
    )]
    NotReached {
        /// Which one.
        service: String,
        /// What it should have done.
        action: &'static str,
        /// What it is instead.
        state: &'static str,
    },
    /// A person started what the manager of services starts.
    #[error(
        "`service run` is what the manager of services starts: `portcullis-gateway service start` starts the service, \
         and `portcullis-gateway run` a gateway in this console"
    )]
    NoManager,
    /// The manager itself.
    #[error("the manager of services says: {source}")]
    Manager {
        /// What it says.
        source: io::Error,
    },
}

/// A service to be installed.
#[derive(Debug)]
pub(crate) struct NewService<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) program: &'a Path,
    pub(crate) config: &'a Path,
}

/// What came of an installation.
#[derive(Debug)]
pub(crate) struct Installed {
    /// Whether there was none before.
    pub(crate) is_new: bool,
    /// What the manager did not take, and why, which keeps nothing from working.
    pub(crate) refused: Vec<String>,
}

/// How a service is.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) state: &'static str,
    pub(crate) running: bool,
    pub(crate) process: Option<u32>,
    pub(crate) start: &'static str,
    pub(crate) account: String,
    /// What the manager starts.
    pub(crate) command: PathBuf,
}

/// Installs a service, which runs as LocalSystem and starts with the host; or has one that is there
/// start this program with this configuration, and leaves when it starts and as whom to whoever set
/// that.
///
/// # Errors
/// [`ControlError`]; nothing was installed then.
pub(crate) fn install(new: &NewService<'_>) -> Result<Installed, ControlError> {
    let name = new.instance.service();
    let manager = connect(Access::CONNECT | Access::CREATE_SERVICE)?;
    let info = |start_type| ServiceInfo {
        name: name.clone().into(),
        display_name: new.instance.display_name().into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type,
        error_control: ServiceErrorControl::Normal,
        executable_path: new.program.to_owned(),
        launch_arguments: [
            "--config".into(),
            new.config.into(),
            "service".into(),
            "run".into(),
        ]
        .to_vec(),
        dependencies: Vec::new(),
        account_name: None,
        account_password: None,
    };
    let there = open(&manager, &name, ServiceAccess::ALL_ACCESS);
    let (service, is_new) = match there {
        Ok(service) => {
            let held = service
                .query_config()
                .map_err(|error| failed(&name, error))?;
            let info = info(held.start_type);
            service
                .change_config(&info)
                .map_err(|error| failed(&name, error))?;
            (service, false)
        }
        Err(ControlError::NotInstalled(_)) => {
            let info = info(ServiceStartType::AutoStart);
            let made = manager.create_service(&info, ServiceAccess::ALL_ACCESS);
            (made.map_err(|error| failed(&name, error))?, true)
        }
        Err(error) => return Err(error),
    };
    Ok(Installed {
        is_new,
        refused: settle(&service, is_new),
    })
}

/// What a service works without, too: older systems do not take all of it.
fn settle(service: &Service, is_new: bool) -> Vec<String> {
    let restart = |delay| ServiceAction {
        action_type: ServiceActionType::Restart,
        delay,
    };
    let failure = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(DAY),
        reboot_msg: None,
        command: None,
        actions: Some(RESTARTS.map(restart).to_vec()),
    };
    let mut tried = vec![
        ("its description", service.set_description(DESCRIPTION)),
        (
            "that it is started again when it fails",
            service.update_failure_actions(failure),
        ),
        (
            "that this holds for a failure that it tells, too",
            service.set_failure_actions_on_non_crash_failures(true),
        ),
        (
            "the time that calls have to end at a shutdown",
            service.set_preshutdown_timeout(STOP_PATIENCE),
        ),
        (
            "an identity of its own",
            service.set_config_service_sid_info(ServiceSidType::Unrestricted),
        ),
    ];
    // Later on it is an administrator's choice.
    if is_new {
        tried.push((
            "that it starts a little after the system",
            service.set_delayed_auto_start(true),
        ));
    }
    let refused = tried.into_iter();
    refused
        .filter_map(|(what, set)| Some(format!("{what}: {}", io_error(set.err()?))))
        .collect()
}

/// Stops and removes a service. `false`: there was none.
///
/// # Errors
/// [`ControlError`].
pub(crate) fn uninstall(name: &str) -> Result<bool, ControlError> {
    match stop(name) {
        Ok(_) => {}
        Err(ControlError::NotInstalled(_)) => return Ok(false),
        Err(error) => return Err(error),
    }
    let manager = connect(Access::CONNECT)?;
    let service = open(&manager, name, ServiceAccess::DELETE)?;
    service.delete().map_err(|error| failed(name, error))?;
    Ok(true)
}

/// Starts a service, and waits until it runs. `false`: it ran already.
///
/// # Errors
/// [`ControlError`].
pub(crate) fn start(name: &str) -> Result<bool, ControlError> {
    let manager = connect(Access::CONNECT)?;
    let service = open(
        &manager,
        name,
        ServiceAccess::START | ServiceAccess::QUERY_STATUS,
    )?;
    if let Err(error) = service.start::<&str>(&[]) {
        return match io_error(error) {
            error if error.raw_os_error() == Some(ALREADY_RUNNING) => Ok(false),
            error => Err(told(name, error)),
        };
    }
    reach(
        &service,
        name,
        ServiceState::Running,
        "start",
        START_PATIENCE,
    )
    .map(|()| true)
}

/// Stops a service, and waits until calls under way have ended and it is gone. `false`: it did not
/// run.
///
/// # Errors
/// [`ControlError`].
pub(crate) fn stop(name: &str) -> Result<bool, ControlError> {
    let manager = connect(Access::CONNECT)?;
    let service = open(
        &manager,
        name,
        ServiceAccess::STOP | ServiceAccess::QUERY_STATUS,
    )?;
    if let Err(error) = service.stop() {
        return match io_error(error) {
            error if error.raw_os_error() == Some(NOT_ACTIVE) => Ok(false),
            error => Err(told(name, error)),
        };
    }
    reach(&service, name, ServiceState::Stopped, "stop", STOP_PATIENCE).map(|()| true)
}

/// How a service is.
///
/// # Errors
/// [`ControlError`].
pub(crate) fn standing(name: &str) -> Result<Standing, ControlError> {
    let manager = connect(Access::CONNECT)?;
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG;
    let service = open(&manager, name, access)?;
    let status = service
        .query_status()
        .map_err(|error| failed(name, error))?;
    let config = service
        .query_config()
        .map_err(|error| failed(name, error))?;
    let account = config.account_name.unwrap_or_else(|| "LocalSystem".into());
    Ok(Standing {
        state: state(status.current_state),
        running: status.current_state == ServiceState::Running,
        process: status.process_id.filter(|id| *id != 0),
        start: match config.start_type {
            ServiceStartType::AutoStart => "automatic",
            ServiceStartType::OnDemand => "by hand",
            ServiceStartType::Disabled => "disabled",
            _ => "with the system",
        },
        account: account.to_string_lossy().into_owned(),
        command: config.executable_path,
    })
}

/// The services of gateways that this host has, by name.
///
/// # Errors
/// [`ControlError`].
pub(crate) fn installed() -> Result<Vec<String>, ControlError> {
    let failed = |source| ControlError::Manager { source };
    let services = registry_error::io(LOCAL_MACHINE.open(SERVICES)).map_err(failed)?;
    let names = registry_error::io(services.keys()).map_err(failed)?;
    let others = format!("{SERVICE}-");
    let ours = |name: &String| name == SERVICE || name.starts_with(&others);
    let mut names: Vec<_> = names.filter(ours).collect();
    names.sort();
    Ok(names)
}

#[allow(
    clippy::disallowed_methods,
    reason = "another process gets there, and the manager tells nobody when"
)]
fn reach(
    service: &Service,
    name: &str,
    wanted: ServiceState,
    action: &'static str,
    patience: Duration,
) -> Result<(), ControlError> {
    let deadline = Instant::now() + patience;
    loop {
        let status = service
            .query_status()
            .map_err(|error| failed(name, error))?;
        let now = status.current_state;
        if now == wanted {
            return Ok(());
        }
        // A start that has ended again does not get there any more.
        let over = wanted == ServiceState::Running && now == ServiceState::Stopped;
        if over || Instant::now() >= deadline {
            return Err(ControlError::NotReached {
                service: name.to_owned(),
                action,
                state: state(now),
            });
        }
        thread::sleep(INTERVAL);
    }
}

fn state(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Running => "running",
        ServiceState::Stopped => "stopped",
        ServiceState::StartPending | ServiceState::ContinuePending => "starting",
        ServiceState::StopPending => "stopping",
        ServiceState::Paused | ServiceState::PausePending => "paused",
    }
}

fn connect(access: Access) -> Result<ServiceManager, ControlError> {
    ServiceManager::local_computer(None::<&str>, access).map_err(|error| failed(SERVICE, error))
}

fn open(
    manager: &ServiceManager,
    name: &str,
    access: ServiceAccess,
) -> Result<Service, ControlError> {
    let service = manager.open_service(name, access);
    service.map_err(|error| failed(name, error))
}

fn failed(name: &str, error: windows_service::Error) -> ControlError {
    told(name, io_error(error))
}

fn told(name: &str, source: io::Error) -> ControlError {
    match source.raw_os_error() {
        Some(ACCESS_DENIED) => ControlError::Denied,
        Some(NO_SUCH_SERVICE) => ControlError::NotInstalled(name.to_owned()),
        Some(MARKED_FOR_DELETION) => ControlError::Leaving(name.to_owned()),
        _ => ControlError::Manager { source },
    }
}

/// What the system said, which the library's own text leaves out.
pub(super) fn io_error(error: windows_service::Error) -> io::Error {
    match error {
        windows_service::Error::Winapi(error) => error,
        other => io::Error::other(other),
    }
}
