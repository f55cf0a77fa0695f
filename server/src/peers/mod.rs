//! Links to the other servers on the repository, and what is asked over them.
//!
//! Whatever needs the link to a gateway that another server holds is forwarded to that one. There
//! is one link for each direction: the server that dialled asks, the one that was dialled answers.
//! It is dialled when something is to be asked, and kept. Only instances whose row stands are
//! spoken to, by either side.
//!
//! ```text
//!   admin ── Peers::forward ─▶ dialling ══ sealed link, HTTP/2 ══▶ listening ─▶ Answers ─▶ admin
//! ```

mod answering;
mod asking;
mod dialling;
mod error;
mod listening;
mod moved;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use portcullis_common::handshake::peer::PeerConfig;
use portcullis_common::id::{PeerEnds, PeerId, ServerId};
use portcullis_common::stream::ChannelLimits;
use portcullis_proto::grpc::{Bytes, Replies};
use portcullis_proto::peer::v1::Subject;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::Status;
use zeroize::Zeroizing;

use crate::repository::{Repository, RepositoryError};
pub use asking::Answered;
use asking::Asking;
pub use error::ForwardError;
use listening::Listening;
pub use moved::{is_moved, moved};

/// How often it is looked which instances still stand.
const LOOK: Duration = Duration::from_secs(2);
/// How long links may take to close when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest message that is forwarded, or answered, in bytes, beside what seals it.
const MAX_MESSAGE: usize = (4 << 20) + (64 << 10);

/// Another server on the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its instance.
    pub instance: PeerId,
    /// What it is called.
    pub name: String,
    /// Where it is dialled, host and port; empty: nowhere.
    pub address: String,
}

/// What the repository knows of the servers on it.
pub trait Servers: fmt::Debug + Send + Sync + 'static {
    /// The instance that this server is now.
    fn own(&self) -> PeerId;

    /// All the other instances whose rows stand.
    ///
    /// # Errors
    /// [`RepositoryError`]: nobody knows.
    fn others(&self) -> BoxFuture<'_, Result<Vec<Other>, RepositoryError>>;

    /// The instance that holds the link to the gateway of this name, or had it last; `None`: none
    /// ever did.
    ///
    /// # Errors
    /// [`RepositoryError`]: nobody knows.
    fn holder<'a>(
        &'a self,
        gateway: &'a str,
    ) -> BoxFuture<'a, Result<Option<PeerId>, RepositoryError>>;
}

/// Carries out what other servers forward.
pub trait Answers: Send + Sync + 'static {
    /// Carries it out. Each status has its `portcullis-kind`.
    fn answer(&self, forwarded: Forwarded) -> BoxFuture<'static, Result<Replies<Bytes>, Status>>;
}

/// A request of the administrators' API, on its way from one server to another.
pub struct Forwarded {
    /// Its method, without the package: `Calls/Execute`.
    pub method: String,
    /// On whose behalf.
    pub subject: Subject,
    /// The message of the method.
    pub message: Zeroizing<Vec<u8>>,
    /// The trace that it belongs to, as W3C Trace Context has it; empty: none.
    pub traceparent: String,
}

/// What the configuration says of links between servers.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The repository, as gateways know it.
    pub server_id: ServerId,
    /// Limits of each channel.
    pub limits: ChannelLimits,
    /// The wait after the first failure to connect; it doubles with each …
    pub backoff_min: Duration,
    /// … up to this.
    pub backoff_max: Duration,
    /// How long a link may be silent before it is asked whether the other side lives, and how long
    /// that may take to answer.
    pub keep_alive: Duration,
    /// The age at which a link is replaced by another.
    pub max_age: Duration,
}

/// The links of one server to the others. Cheap to clone. By default there are none, and nothing
/// is forwarded.
#[derive(Clone, Debug, Default)]
pub struct Peers(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    repository: Repository,
    servers: Arc<dyn Servers>,
    asking: Mutex<HashMap<PeerId, Arc<Asking>>>,
    listening: Listening,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Peers {
    /// Over this repository, on which `servers` are. Nothing is dialled yet, and nobody awaited.
    pub fn new(repository: Repository, servers: Arc<dyn Servers>, settings: Settings) -> Self {
        Self(Some(Arc::new(Inner {
            settings,
            repository,
            servers,
            asking: Mutex::default(),
            listening: Listening::default(),
            tasks: Mutex::default(),
        })))
    }

    /// Whether anything can be forwarded at all.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Awaits other servers on `listener`, and has what they forward carried out by `answers`.
    pub fn start(&self, listener: TcpListener, answers: Arc<dyn Answers>) {
        if let Some(inner) = &self.0 {
            let accepting = listening::accept(Arc::clone(inner), listener, answers);
            let accepting = tokio::spawn(accepting).abort_handle();
            let looking = tokio::spawn(look_for_gone(Arc::clone(inner))).abort_handle();
            lock(&inner.tasks).extend([accepting, looking]);
        }
    }

    /// How many links other servers have to this one, those that end with what they carry among
    /// them.
    pub fn incoming(&self) -> usize {
        let inner = self.0.as_ref();
        inner.map_or(0, |inner| inner.listening.count())
    }

    /// The other server that holds the link to the gateway of this name; `None`: none does, as far
    /// as is known.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn holder(&self, gateway: &str) -> Result<Option<PeerId>, RepositoryError> {
        let Some(inner) = &self.0 else {
            return Ok(None);
        };
        let own = inner.servers.own();
        let holder = inner.servers.holder(gateway).await?;
        let Some(holder) = holder.filter(|holder| *holder != own) else {
            return Ok(None);
        };
        let stands = inner.find(holder).await?.is_some();
        Ok(stands.then_some(holder))
    }

    /// Has another server carry out a request. What is answered comes as it comes there; dropping
    /// it ends the request.
    ///
    /// # Errors
    /// [`ForwardError`].
    pub async fn forward(&self, to: PeerId, request: Forwarded) -> Result<Answered, ForwardError> {
        let Some(inner) = &self.0 else {
            let why = "this server has no links to others: [peers] of its configuration says so";
            return Err(ForwardError::Unsent(why.to_owned()));
        };
        asking::forward(inner, to, request).await
    }

    /// Awaits and asks nobody any more. Links that carry something may go on for 5 s.
    pub async fn stop(&self) {
        let Some(inner) = &self.0 else {
            return;
        };
        lock(&inner.tasks).drain(..).for_each(|task| task.abort());
        lock(&inner.asking).clear();
        if timeout(STOP_TIMEOUT, inner.listening.drain())
            .await
            .is_err()
        {
            inner.listening.close_all();
        }
    }

    /// Closes every link at once: this instance is none any more.
    pub async fn close(&self) {
        if let Some(inner) = &self.0 {
            let asking: Vec<_> = lock(&inner.asking).drain().collect();
            for (_, asking) in asking {
                asking.close().await;
            }
            inner.listening.close_all();
        }
    }
}

impl Inner {
    /// The other instance of this id, where its row stands.
    async fn find(&self, instance: PeerId) -> Result<Option<Other>, RepositoryError> {
        let others = self.servers.others().await?;
        Ok(others.into_iter().find(|other| other.instance == instance))
    }

    async fn config(&self, ends: PeerEnds) -> Result<PeerConfig, RepositoryError> {
        let (id, key) = self.repository.peer_key().await?;
        Ok(PeerConfig::new(self.settings.server_id, id, &key, ends))
    }
}

/// Closes the links with instances that are gone.
async fn look_for_gone(inner: Arc<Inner>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let others = match inner.servers.others().await {
            Ok(others) => others,
            Err(error) => {
                tracing::debug!(%error, "nobody knows which servers stand");
                continue;
            }
        };
        let stands = |instance: PeerId| others.iter().any(|other| other.instance == instance);
        inner.listening.close_where(|instance| !stands(instance));
        let mut gone = Vec::new();
        lock(&inner.asking).retain(|instance, asking| {
            let stands = stands(*instance);
            if !stands {
                gone.push(Arc::clone(asking));
            }
            stands
        });
        for asking in gone {
            asking.close().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole at every moment, whoever panicked meanwhile.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until then a handshake that begins now has to end.
fn deadline(settings: &Settings) -> Instant {
    Instant::now() + settings.limits.handshake
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded")
            .field("method", &self.method)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
