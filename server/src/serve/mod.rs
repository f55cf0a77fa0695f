//! The running server.

pub mod init;
pub mod lock;
mod unlocked;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_common::rotation::{Policy, UnixMillis};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::{self, AdminSocket, SocketError};
use crate::audit::{AuditError, AuditLog};
use crate::clock;
use crate::config::{Capabilities, Config, SecretSource};
use crate::fleet::{self, Fleet};
use crate::keys::memory;
use crate::keys::protection::ProtectionError;
use crate::keys::{KeyManager, KeyringError};
use crate::provisioning::queue::CallQueue;
use crate::repository::{Repository, RepositoryError};
use crate::tasks::{Tasks, Work};
use lock::{DataDirLock, LockError};
use portcullis_host::private_files::{self, PermissionError};
pub use unlocked::Unlocked;

/// What the admin API works on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Services {
    /// This server.
    pub server_id: ServerId,
    /// When it was started.
    pub started: UnixMillis,
    /// The repository.
    pub repository: Repository,
    /// The server keys, opened, and what changes them.
    pub keys: KeyManager,
    /// Where the secret that opens the server keys comes from.
    pub secret: SecretSource,
    /// The audit log.
    pub audit: AuditLog,
    /// Who may do what.
    pub capabilities: Capabilities,
    /// The gateways and their links.
    pub fleet: Fleet,
    /// Long work.
    pub tasks: Tasks,
    /// The calls that wait for their gateway.
    pub queue: CallQueue,
    /// Limits of rotation.
    pub policy: Policy,
    /// How long a new enrolment token is valid.
    pub token_lifetime: Duration,
    /// How long pairing stays open for a gateway added with it.
    pub pairing_lifetime: Duration,
}

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
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The audit log cannot be opened.
    #[error(transparent)]
    Audit(#[from] AuditError),
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

/// Runs the server until SIGTERM or SIGINT, then closes every link and the repository.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Runtime)?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    };

    Unlocked::must_exist(&config)?;
    private_files::check_private(&config.data_dir)?;
    let _lock = DataDirLock::take(&config.data_dir)?;
    let Unlocked {
        server_id,
        repository,
        keys,
    } = Unlocked::open(&config).await?;
    let socket = AdminSocket::bind(&config.admin.socket, config.admin.socket_group)?;
    let dial_out = match config.dial_out.listen {
        None => None,
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|source| ServeError::Listen { address, source })?,
        ),
    };

    memory::warn_where_not_locked();
    let audit = AuditLog::open(&repository, server_id, &config.audit).await?;
    let fleet = Fleet::new(repository.clone(), fleet::Settings::new(server_id, &config));
    fleet.start(dial_out).await?;
    let tasks = Tasks::new(Work {
        repository: repository.clone(),
        keys: keys.clone(),
        fleet: fleet.clone(),
        audit: audit.clone(),
        secret: config.secret.clone(),
    });
    tasks.resume_interrupted().await?;
    tracing::info!(
        %server_id,
        admin = %config.admin.socket.display(),
        dial_out = fleet.dial_out_address().map(tracing::field::display),
        "serving"
    );
    let services = Services {
        secret: config.secret.clone(),
        server_id,
        started: clock::now(),
        repository: repository.clone(),
        keys,
        audit: audit.clone(),
        capabilities: config.capabilities.clone(),
        fleet: fleet.clone(),
        tasks: tasks.clone(),
        queue: CallQueue::new(config.calls.limits()),
        policy: config.keys.policy(),
        token_lifetime: config.keys.token_lifetime,
        pairing_lifetime: config.keys.pairing_lifetime,
    };
    let shutdown = async {
        shutdown.await;
        // Whoever watches one would keep the API from ending.
        tasks.stop().await;
    };
    let queue = tokio::spawn(services.queue.clone().run(services.clone()));
    let served = api::serve(socket, services, shutdown).await;
    queue.abort();
    tasks.stop().await;
    fleet.stop().await;
    audit.close().await;
    repository.database().close().await;
    tracing::info!("stopped");
    Ok(served?)
}
