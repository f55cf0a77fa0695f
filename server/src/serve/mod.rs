//! The running server.

mod events;
mod fenced;
pub mod init;
mod inspect;
mod left;
pub mod lock;
mod peers;
mod reload;
pub mod transfer;
mod unlocked;
mod watchdog;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::audit::{AuditError, AuditLog, HeadError};
use crate::config::Config;
use crate::fleet::{self, Fleet};
use crate::forward::Forwarding;
use crate::fronts::grpc::{self, AdminSocket, SocketError};
use crate::keys::memory;
use crate::keys::protection::ProtectionError;
use crate::keys::{AuthorityError, KeyringError};
use crate::repository::{Load, RepositoryError};
use crate::servers::Member;
use crate::services::Services;
use crate::watch::Watch;
pub use inspect::Inspection;
use lock::{DataDirLock, LockError};
use portcullis_host::private_files::{self, PermissionError};
use portcullis_host::service_manager::ServiceManager;
use portcullis_watch::Bound;
use portcullis_watch::traces::{Program, Tracer};
pub use unlocked::Unlocked;

/// Why the server does not run. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A file or folder is open to others.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// Another server runs here.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The secret cannot be used.
    #[error(transparent)]
    Protection(#[from] ProtectionError),
    /// The server keys do not open.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The rows of the repository are not to be trusted.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The audit log cannot be opened.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Its head file cannot be used.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The port for gateways that dial out cannot be had.
    #[error(
        "cannot listen on {address} for gateways that dial out: {source}; stop what listens there, or set another [dial_out] listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] portcullis_tls::FilesError),
    /// The port for health and metrics cannot be had.
    #[error(
        "cannot listen on {address} for whoever asks for health and metrics: {source}; stop what listens there, or set another [watch] listen"
    )]
    Watch {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The port for other servers cannot be had.
    #[error(
        "cannot listen on {address} for the other servers of the repository: {source}; stop what listens there, or set another [peers] listen"
    )]
    Peers {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The admin socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The admin API ended.
    #[error("the admin API failed: {0}")]
    Api(#[from] tonic::transport::Error),
    /// The program's own machinery does not start.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// Runs the server until SIGTERM or SIGINT, then closes every link and the repository. Each of
/// `hangups` has it read its configuration again, from where it was read first: `file`, or the
/// default place. A service manager is told how far it is, and that it lives. Where another server
/// is at work on the repository, it waits until that one is gone, if it `waits`.
///
/// # Errors
/// [`ServeError`]; where another server has taken over, [`RepositoryError::TakenOver`]: whoever
/// starts it again begins anew.
pub async fn serve(
    config: Config,
    file: Option<PathBuf>,
    hangups: Signal,
    waits: bool,
) -> Result<(), ServeError> {
    let manager = Arc::new(ServiceManager::from_env());
    let mut shutdown = pin!(told_to_stop(manager.clone())?);
    Unlocked::must_exist(&config)?;
    private_files::check_private(&config.data_dir)?;
    let lock = DataDirLock::take(&config.data_dir)?;
    let unlocked = tokio::select! {
        biased;
        () = &mut shutdown => return Ok(()),
        unlocked = come(&config, &lock, waits, &manager) => unlocked?,
    };
    let Unlocked {
        server_id,
        repository,
        keys,
        member,
    } = unlocked;
    let socket = AdminSocket::bind(&config.admin.socket, config.admin.socket_group)?;
    let dial_out = listen(config.dial_out.listen).await?;
    let peers_port = peers::listen(&config).await?;
    let watch_port = watch_port(config.watch.listen).await?;

    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    memory::warn_where_not_locked();
    let audit = AuditLog::open(&repository, server_id, &config.audit).await?;
    let mut settings = fleet::Settings::new(server_id, &config);
    settings.tracer = start_tracing(&config);
    settings.tls.load(config.tls.as_ref())?;
    settings.renewals = member.clone().and_then(fenced::renewals);
    settings.siblings = member.clone().and_then(fenced::siblings);
    let fleet = Fleet::new(repository.clone(), settings);
    let recorded = tokio::spawn(events::record(fleet.events(), audit.clone()));
    fleet.start(dial_out).await?;
    let mut services = Services::new(&config, server_id, repository, keys, audit, fleet);
    services.tasks.resume_interrupted().await?;
    let forwarding = Forwarding::start(&config.forward, &services.repository, server_id).await?;
    services.places = forwarding.places().to_vec();
    services.member.clone_from(&member);
    if let Some(member) = &member {
        services.withdrawals.tell(member.clone());
    }
    peers::start(&mut services, &config, peers_port);
    tracing::info!(
        %server_id,
        admin = %config.admin.socket.display(),
        dial_out = services.fleet.dial_out_address().map(tracing::field::display),
        watch = config.watch.listen.map(tracing::field::display),
        "serving"
    );
    let watched = watch_port.map(|port| {
        let places = forwarding.places().to_vec();
        let watch = Watch::new(&config, services.clone(), places);
        tokio::spawn(portcullis_watch::serve(port, watch))
    });
    let reload = reload::at_hangups(hangups, services.clone(), file, manager.clone());
    let mut beside = vec![
        tokio::spawn(reload),
        tokio::spawn(watchdog::beat(manager.clone(), services.clone())),
        tokio::spawn(services.withdrawals.clone().follow()),
        tokio::spawn(left::take_over(services.clone())),
        tokio::spawn(share_out(services.fleet.clone())),
    ];
    let ended = async {
        match &member {
            Some(member) => member.gone().await,
            None => std::future::pending().await,
        }
    };
    if let Some(member) = &member {
        let fleet = services.fleet.clone();
        member.tells(move || Load {
            links: fleet.count() as u64,
            calls: fleet.calls_under_way() as u64,
            ..Load::default()
        });
        beside.push(tokio::spawn(fenced::watch(
            member.fence().clone(),
            services.fleet.clone(),
        )));
    }
    manager.ready();
    let shutdown = async {
        tokio::select! {
            () = shutdown => hand_over(member.as_ref(), &services.fleet).await,
            () = ended => {
                services.peers.close().await;
                services.fleet.close_all().await;
            }
        }
    };
    let served = Box::pin(run(socket, &services, shutdown)).await;
    beside.iter().for_each(tokio::task::JoinHandle::abort);
    if let Some(watched) = watched {
        watched.abort();
    }
    services.tasks.stop().await;
    services.peers.stop().await;
    services.fleet.stop().await;
    recorded.abort();
    services.audit.close().await;
    services.fleet.tracer().flush().await;
    drop(forwarding);
    services.repository.database().close().await;
    if let Some(member) = member {
        member.leave().await;
        if member.fence().is_gone() {
            return Err(RepositoryError::TakenOver.into());
        }
    }
    tracing::info!("stopped");
    Ok(served?)
}

async fn share_out(fleet: Fleet) {
    fleet.share_out().await;
}

/// The other servers take this one's links before it goes, while it still answers and carries out
/// what it is asked.
async fn hand_over(member: Option<&Member>, fleet: &Fleet) {
    if let Some(member) = member {
        member.hand_over().await;
    }
    fleet.hand_over().await;
}

/// Opens the repository as one of its servers. While that has to wait, a service manager takes it
/// for started: it stands by, which is what it is there for.
async fn come(
    config: &Config,
    lock: &DataDirLock,
    waits: bool,
    manager: &ServiceManager,
) -> Result<Unlocked, ServeError> {
    let told = AtomicBool::new(false);
    let why = match config.peers {
        None => "this configuration has no [peers], without which it does not work beside others",
        Some(_) => {
            "it has no [peers] in its configuration, without which others do not work beside it"
        }
    };
    let waiting = |by: &str| {
        let what = format!("standing by: the server {by} is at work on the repository; {why}");
        if !told.swap(true, Ordering::Relaxed) {
            tracing::info!("{what}");
            manager.ready();
        }
        manager.status(&what);
        manager.alive();
    };
    let unlocked = Unlocked::join(config, lock, waits.then_some(&waiting as _)).await;
    if told.load(Ordering::Relaxed) {
        manager.status("");
    }
    unlocked
}

/// Ends at SIGTERM or SIGINT, which from now on end the program no more.
fn told_to_stop(manager: Arc<ServiceManager>) -> Result<impl Future<Output = ()>, ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Runtime)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        manager.stopping();
    })
}

/// Sends spans from now on, where the configuration says so.
fn start_tracing(config: &Config) -> Tracer {
    let name = rustix::system::uname();
    let host = name.nodename().to_string_lossy().into_owned();
    let program = Program::new("portcullis-server", env!("CARGO_PKG_VERSION"), host);
    Tracer::start(&config.traces, program)
}

/// The port for gateways that dial out, where the configuration names one.
async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, ServeError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| ServeError::Listen { address, source })?;
    Ok(Some(listener))
}

/// The port for health and metrics, where the configuration names one.
async fn watch_port(address: Option<SocketAddr>) -> Result<Option<Bound>, ServeError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = portcullis_watch::bind(address).await;
    let bound = bound.map_err(|source| ServeError::Watch { address, source })?;
    Ok(Some(bound))
}

/// Answers the admin API and sends queued calls, until `shutdown`.
async fn run(
    socket: AdminSocket,
    services: &Services,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let shutdown = async {
        shutdown.await;
        // Whoever watches one would keep the API from ending.
        services.provisioning.stop_following();
        services.tasks.stop().await;
    };
    let queue = tokio::spawn(services.queue.clone().run());
    let served = grpc::serve(socket, services.clone(), shutdown).await;
    queue.abort();
    served
}
