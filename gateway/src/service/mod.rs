//! Runs the gateway: one function, under systemd, as a service of Windows or in a console.

#[cfg(unix)]
#[path = "host/unix.rs"]
mod host;
#[cfg(windows)]
#[path = "host/windows.rs"]
mod host;
pub mod instance;
mod key_events;
#[cfg(any(windows, test))]
mod log_file;
pub(crate) mod ports;
pub mod reload;
#[cfg(windows)]
mod reporter;
pub mod settings;
pub mod start;
#[cfg(windows)]
pub(crate) mod windows_service;
#[cfg(unix)]
pub mod worker;

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::rotation::RunId;
use portcullis_common::secret::locked;
use portcullis_common::stream::{HalfOpen, HalfOpenLimits, WhenFull};
use portcullis_host::clock;
use portcullis_watch::Bound;
use portcullis_watch::traces::{Program, Tracer};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use self::host::ServiceManager;
use self::reload::{Reloader, log_inspection};
use crate::config::{Config, Dial};
use crate::connectors::Connectors;
use crate::journal::Journal;
use crate::key_store::{self, KeyStore, KeyStoreError};
use crate::listener::agent::{Agent, here};
use crate::listener::grants::Grants;
use crate::listener::keys::{Keys, Standing};
use crate::listener::links::Order;
use crate::listener::status::StatusBoard;
use crate::listener::{dial_in, dial_out};
use crate::state_dir::{StateDir, StateDirError};
use crate::watch;
use crate::worker::Door;
use crate::worker::processes::Workers;

/// How long calls under way may still take once the gateway was told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The key store.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    /// The state folder, or another gateway running on it.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// Another worker runs on the same folder.
    #[cfg(unix)]
    #[error(
        "a worker is already running on {}: stop it first (`systemctl stop {unit}`), or give this one another state_dir",
        folder.display()
    )]
    WorkerRunning {
        /// The folder.
        folder: PathBuf,
        /// The worker's unit.
        unit: String,
    },
    /// Something else listens there.
    #[error(
        "port {port} on {ip} is in use by another program (`{command}` shows which): stop it, or change listen.address",
        ip = .0.ip(), port = .0.port(), command = host::show_listener(.0.port())
    )]
    PortInUse(SocketAddr),
    /// The system does not let it listen there.
    #[error("cannot listen on {address}: {source}; see listen.address in the configuration")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] portcullis_tls::FilesError),
    /// The port for health and metrics cannot be had.
    #[error(
        "cannot listen on {address} for whoever asks for health and metrics: {source}; stop what listens there, or set another watch.listen"
    )]
    Watch {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Core dumps would hold keys.
    #[error("cannot switch off core dumps, which would hold keys: {0}")]
    CoreDumps(io::Error),
    /// A worker of a gateway that has none.
    #[error(
        "there is no [workers] in the configuration: this gateway is one process, which has all connectors"
    )]
    OneProcess,
    /// Nobody could be served.
    #[error("workers.user: {0}; name the user of the process that faces the servers")]
    Front(String),
    /// The socket of a worker.
    #[cfg(unix)]
    #[error(transparent)]
    Socket(#[from] crate::worker::processes::SocketError),
    /// The program's own machinery does not start.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The system's means of telling it to stop, or to read its configuration again.
    #[error("cannot watch for the signals to stop and to reload: {0}")]
    Signals(io::Error),
}

impl RunError {
    fn listening(address: SocketAddr, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::PortInUse(address)
        } else {
            Self::Listen { address, source }
        }
    }
}

/// Switches off core dumps, in which keys, tokens and passwords would stand. Every verb begins with
/// it.
///
/// # Errors
/// [`RunError::CoreDumps`].
pub fn forbid_core_dumps() -> Result<(), RunError> {
    host::disable_core_dumps().map_err(RunError::CoreDumps)
}

/// Runs the gateway until a signal tells it to stop. Each of `hangups` asks to read the
/// configuration again.
async fn run(
    config: Config,
    connectors: Connectors,
    hangups: host::Hangups,
) -> Result<(), RunError> {
    let stop = host::StopSignal::new().map_err(RunError::Signals)?;
    let manager = ServiceManager::from_env();
    run_managed(config, connectors, stop.received(), hangups, manager).await
}

/// Runs the gateway until `stop` ends. Each of `hangups` asks to read the configuration again, and
/// `manager` is told how it goes.
async fn run_managed(
    config: Config,
    connectors: Connectors,
    stop: impl Future<Output = ()>,
    mut hangups: host::Hangups,
    manager: ServiceManager,
) -> Result<(), RunError> {
    let folder = StateDir::of(&config);
    let store: Arc<dyn KeyStore> = key_store::open(&config).into();
    store.renew()?;
    let record = store.load()?;
    let _running = folder
        .lock_run()?
        .ok_or_else(|| KeyStoreError::NeverCreated {
            location: store.location(),
        })?;
    let door = match Workers::new(&config) {
        Some(workers) => Door::Workers(workers),
        None => {
            let journal = Journal::open(&folder, config.journal);
            here(&config, &connectors, journal, &config.state_dir).into()
        }
    };
    let keys = Keys::new(store, RunId::random(&mut rand::rng()), &record);
    if let Err(error) = locked::check() {
        warn!("{error}");
    }
    if config.workers.is_some() && host::is_root() {
        warn!(
            name: "privileged",
            "what faces the servers runs as root, which its workers are there to spare: have it run as the user of workers.user, as its unit does"
        );
    }
    let dialling = Dialling::begin(&config).await?;
    let watch_port = watch_port(config.watch.settings.listen).await?;
    let board = StatusBoard::new(dialling.is_out(), dialling.address());
    log_start(&dialling, keys.standing());
    if config.workers.is_none() {
        log_inspection(&connectors).await;
    }
    let name = host::name();
    let tracer = Tracer::start(&config.traces, program(name.clone()));
    door.trace(tracer.clone());
    let grants = Grants::open(&folder);
    let agent = Agent::with_door(&config, door, grants, keys, board, name);
    agent.tls.load(config.tls.as_ref())?;
    let agent = Arc::new(agent);
    agent.door.start().await;
    let watching = watch::watch(watch_port, config.clone(), Arc::clone(&agent));
    let reloader = Reloader::new(folder.clone(), config, connectors);
    manager.ready();
    tokio::select! {
        () = dialling.go(&agent) => {}
        () = agent.watch_keys() => {}
        () = agent.watch_journals() => {}
        () = agent.door.send_spans() => {}
        () = agent.door.watch() => {}
        () = reloader.watch(&agent, &mut hangups, &manager) => {}
        () = agent.run.status.write_changes(&agent.links, &folder) => {}
        () = beat(&manager) => {}
        () = key_events::tell(agent.run.keys.changes()) => {}
        () = watching => {}
        () = stop => {}
    }
    manager.stopping();
    wind_up(&agent).await;
    tracer.flush().await;
    Ok(())
}

/// Who sends spans.
const fn program(host: String) -> Program {
    Program::new("portcullis-gateway", env!("CARGO_PKG_VERSION"), host)
}

/// Tells the service manager at each beat that it wants, for ever, that the gateway lives: that the
/// task which also accepts connections goes on, and that there is a thread for work on the disk.
async fn beat(manager: &ServiceManager) {
    let Some(beat) = manager.beat() else {
        return std::future::pending().await;
    };
    let mut beats = tokio::time::interval(beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if spawn_blocking(|| ()).await.is_ok() {
            manager.alive();
        }
    }
}

/// The port for health and metrics, where the configuration names one.
async fn watch_port(address: Option<SocketAddr>) -> Result<Option<Bound>, RunError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = portcullis_watch::bind(address).await;
    let bound = bound.map_err(|source| RunError::Watch { address, source })?;
    Ok(Some(bound))
}

/// Either side's way to a connection, ready to be used.
enum Dialling {
    In(TcpListener, SocketAddr, HalfOpen),
    Out(dial_out::Target),
}

impl Dialling {
    async fn begin(config: &Config) -> Result<Self, RunError> {
        match &config.dial {
            Dial::Listen(address) => {
                let address = *address;
                let listener = TcpListener::bind(address).await;
                let listener = listener.map_err(|source| RunError::listening(address, source))?;
                let bound = listener.local_addr().unwrap_or(address);
                let half_open = HalfOpen::new(HalfOpenLimits {
                    total: config.limits.half_open,
                    per_address: config.limits.half_open_per_address,
                    lifetime: config.channel.handshake,
                    when_full: WhenFull::DropOne,
                });
                Ok(Self::In(listener, bound, half_open))
            }
            Dial::Out {
                server,
                others,
                name,
                proxy,
            } => Ok(Self::Out(dial_out::Target {
                server: server.clone(),
                others: others.clone(),
                name: name.clone(),
                proxy: proxy.clone(),
            })),
        }
    }

    fn is_out(&self) -> bool {
        matches!(self, Self::Out(_))
    }

    fn address(&self) -> String {
        match self {
            Self::In(_, address, _) => address.to_string(),
            Self::Out(target) => target.server.clone(),
        }
    }

    async fn go(&self, agent: &Arc<Agent>) {
        match self {
            Self::In(listener, _, half_open) => dial_in::listen(agent, listener, half_open).await,
            Self::Out(target) => dial_out::dial(agent, target).await,
        }
    }
}

fn log_start(dialling: &Dialling, standing: Standing) {
    let verb = if dialling.is_out() {
        "dialling"
    } else {
        "listening on"
    };
    let through = match dialling {
        Dialling::Out(target) => target.proxy.as_ref(),
        Dialling::In(..) => None,
    };
    let through = through.map(|proxy| format!(", through the proxy at {}", proxy.address));
    info!(
        name: "started",
        version = env!("CARGO_PKG_VERSION"),
        "{verb} {}{}",
        dialling.address(),
        through.unwrap_or_default()
    );
    match (standing.gateway_id, standing.active, standing.enrolment) {
        (Some(gateway), Some(key), _) => info!(%gateway, %key, "holds a master key"),
        (Some(gateway), None, Some(key)) => {
            info!(%gateway, %key, "holds an enrolment token: waiting for the server to use it");
        }
        _ => match standing.pairing_until {
            Some(until) => info!(until = clock::text(until), "pairing is open"),
            None => warn!(
                "holds no key and pairing is closed: run `portcullis-gateway enroll` with the token that `portcullis gateway add` printed; \
                 this gateway need not be restarted for it"
            ),
        },
    }
}

/// Lets the calls under way end, also those whose session was lost.
async fn wind_up(agent: &Agent) {
    let mut links = agent.links.changes();
    let sessions = *links.borrow_and_update();
    info!(
        name: "stopping",
        sessions,
        "stopping: calls under way are carried to their end"
    );
    agent.links.tell(Order::Drain, |_| true);
    let ended = async {
        // Fails only where the sessions are gone altogether.
        let _ = links.wait_for(|live| *live == 0).await;
        agent.door.idle().await;
    };
    if tokio::time::timeout(STOP_PATIENCE, ended).await.is_err() {
        warn!(
            "calls were still under way after {} s and are cut off: what came of them is unknown",
            STOP_PATIENCE.as_secs()
        );
        agent.links.tell(Order::Close, |_| true);
    }
    agent.door.stop().await;
    info!(name: "stopped", "stopped");
}
