//! The gateways and the links to them: one live link per gateway, kept up by itself.
//!
//! [`Fleet::start`] brings up what the roster holds and from then on follows [`Fleet::wake`]. Calls
//! go through [`Fleet::execute`] and [`Fleet::search`]; nothing is ever sent twice.

mod call_stream;
mod calls;
mod counts;
mod dial;
mod dial_out;
mod establish;
mod events;
mod gate;
mod grant;
mod link;
mod logs;
mod measured;
mod noise;
mod not_after;
mod one_task;
mod pace;
mod progress;
mod push;
mod pushes;
mod recipient;
mod reckoning;
mod roster;
mod search;
mod shares;
mod sharing;
mod standings;
mod status;
mod suspicion;
mod tls;
pub(crate) mod transport;
mod turns;
mod unsent;
mod withdrawn;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::id::{KeyId, ServerId};
use portcullis_common::rotation::{Policy, UnixMillis};
use portcullis_common::stream::{ChannelLimits, HalfOpenLimits};
use portcullis_tls::Around;
use portcullis_watch::traces::Tracer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::config::{Config, Links};
use crate::repository::{Reach, Repository, RepositoryError};
pub use calls::{AskError, Attempt, MAX_ACKNOWLEDGED, MAX_ASKED};
pub use counts::Counts;
pub(crate) use dial::prepare;
pub use events::Event;
pub use logs::{GatewayLog, LogError};
pub use measured::Measured;
pub use not_after::Renewals;
pub use pace::{DEFAULT_PER_MINUTE, Pace};
pub use progress::{
    Progress, ProgressStream, Push, PushEnd, Rotation, RotationError, SyncCounts, SyncResult,
    SyncState,
};
pub use recipient::Recipient;
pub use reckoning::Reckoning;
pub use roster::{Follower, Outlook};
pub use shares::Siblings;
pub use sharing::{LinkRow, Share, Sharing, Sibling};
pub use status::{CallError, LinkStatus, SearchStream};
pub use tls::{around, private_key};
use turns::Turns;
use withdrawn::Outgoing;

/// From so much on the clocks of a gateway and of the server count as different, in milliseconds.
pub const CLOCKS_APART_MS: u64 = 30_000;
/// How long a gateway has to say what it is before it is shown.
const ASK_PATIENCE: Duration = Duration::from_secs(2);

/// Handshakes that the server itself begins at once.
const DIALLED_HANDSHAKES: usize = 64;
/// Letters quoted of what a gateway said.
const MAX_QUOTED: usize = 500;
/// How long links may take to close when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the configuration says of links.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This server.
    pub server_id: ServerId,
    /// Suites allowed, in order of preference.
    pub suites: Vec<Suite>,
    /// Limits of each channel.
    pub limits: ChannelLimits,
    /// How links are kept up.
    pub links: Links,
    /// The age at which a session is replaced.
    pub max_session_age: Duration,
    /// Limits of rotation.
    pub policy: Policy,
    /// How many handshakes of gateways that dial out may be half-open.
    pub half_open: HalfOpenLimits,
    /// TLS around the links.
    pub tls: Around,
    /// What makes spans of calls; off, until it is started.
    pub tracer: Tracer,
    /// When this server was last seen alive; `None`: nobody shares its repository.
    pub renewals: Option<Arc<dyn Renewals>>,
    /// The servers that share the repository; `None`: nobody does.
    pub siblings: Option<Arc<dyn Siblings>>,
}

impl Settings {
    /// As `config` has them, but for TLS, whose files are to be read yet.
    pub fn new(server_id: ServerId, config: &Config) -> Self {
        Self {
            server_id,
            suites: config.channel.suites.clone(),
            limits: config.channel.limits(),
            links: config.links.clone(),
            max_session_age: config.channel.max_session_age,
            policy: config.keys.policy(),
            half_open: HalfOpenLimits {
                total: config.dial_out.half_open,
                per_address: config.dial_out.half_open_per_address,
                lifetime: config.channel.handshake_timeout,
                ..HalfOpenLimits::DIAL_OUT
            },
            tls: around(),
            tracer: Tracer::default(),
            renewals: None,
            siblings: None,
        }
    }
}

/// The fleet of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    repository: Repository,
    settings: Settings,
    roster: roster::Roster,
    handshakes: Turns,
    strangers: roster::Throttle,
    dial_out: OnceLock<(SocketAddr, AbortHandle)>,
    /// As far as this process knows: a push of another key ends.
    current_key: watch::Sender<Option<KeyId>>,
    /// To whoever writes down what happens.
    events: OnceLock<mpsc::Sender<Event>>,
    measured: Measured,
    /// Every connection over which something may be unsent, those of replaced links too.
    outgoing: Mutex<Vec<Outgoing>>,
    /// Held once by each call that is under way.
    under_way: Arc<()>,
    /// Which links are this server's; `None`: all are.
    shares: Option<shares::Shares>,
}

impl Fleet {
    /// A fleet over `repository`, without any link yet.
    pub fn new(repository: Repository, settings: Settings) -> Self {
        let instance = repository.database().instance();
        let siblings = settings.siblings.clone();
        let shares = siblings.map(|siblings| shares::Shares::new(instance, siblings));
        Self {
            inner: Arc::new(Inner {
                repository,
                settings,
                roster: roster::Roster::default(),
                handshakes: Turns::new(DIALLED_HANDSHAKES),
                strangers: roster::Throttle::default(),
                dial_out: OnceLock::new(),
                current_key: watch::Sender::new(None),
                events: OnceLock::new(),
                measured: Measured::default(),
                outgoing: Mutex::default(),
                under_way: Arc::default(),
                shares,
            }),
        }
    }

    /// Dials every gateway that is to be dialled, and awaits the others on `dial_out`.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing was started.
    pub async fn start(&self, dial_out: Option<TcpListener>) -> Result<(), RepositoryError> {
        let gateways = self.inner.repository.gateways().list().await?;
        if let Some(listener) = dial_out
            && let Ok(address) = listener.local_addr()
        {
            self.inner.dial_out.get_or_init(|| {
                let task = tokio::spawn(self.clone().accept_gateways(listener));
                (address, task.abort_handle())
            });
        }
        for gateway in gateways {
            if matches!(gateway.reach, Reach::Address(_)) {
                self.wake(&gateway.name);
            }
        }
        Ok(())
    }

    /// What makes spans of calls.
    pub fn tracer(&self) -> &Tracer {
        &self.inner.settings.tracer
    }

    /// Stops dialling and accepting, and closes every link: at once where no call is on the way,
    /// after 5 s in any case.
    pub async fn stop(&self) {
        if let Some((_, listener)) = self.inner.dial_out.get() {
            listener.abort();
        }
        let sessions = self.inner.roster.clear();
        let all_closed = async {
            for session in &sessions {
                session.closed().await;
            }
        };
        if timeout(STOP_TIMEOUT, all_closed).await.is_err() {
            for session in &sessions {
                session.close();
            }
        }
    }

    /// Every live link, by gateway name.
    pub fn links(&self) -> Vec<LinkStatus> {
        let links = self.inner.roster.links();
        links.iter().map(|link| link.status()).collect()
    }

    /// The names of the gateways that have a live link.
    pub fn connected(&self) -> HashSet<String> {
        self.inner.roster.connected()
    }

    /// What is counted here.
    pub fn measured(&self) -> &Measured {
        &self.inner.measured
    }

    /// How many live links there are to gateways whose clock differs by so much from this one, in
    /// milliseconds, or by more.
    pub fn clocks_apart(&self, by_ms: u64) -> usize {
        let links = self.inner.roster.links();
        let ahead = links.iter().filter_map(|link| link.clock_ahead_ms());
        ahead.filter(|ahead| ahead.unsigned_abs() >= by_ms).count()
    }

    /// How many live links there are.
    pub fn count(&self) -> usize {
        self.inner.roster.count()
    }

    /// How many calls and searches are under way.
    pub fn calls_under_way(&self) -> usize {
        Arc::strong_count(&self.inner.under_way).saturating_sub(1)
    }

    /// The live link to one gateway; `None`: there is none.
    pub fn status(&self, gateway: &str) -> Option<LinkStatus> {
        let link = self.inner.roster.standing(gateway).link?;
        Some(link.status())
    }

    /// Whether there is a link to a gateway that takes new calls, as far as can be told at once.
    pub fn takes_calls(&self, gateway: &str) -> bool {
        let link = self.inner.roster.standing(gateway).link;
        link.is_some_and(|link| link.takes_calls())
    }

    /// Asks a gateway with a link what it is now: its connectors change while it runs. One that
    /// does not answer at once is shown as it last was.
    pub async fn ask_again(&self, gateway: &str) {
        if let Some(link) = self.inner.roster.standing(gateway).link {
            // Not worth more than a moment, and the link itself is watched elsewhere.
            let _ = timeout(ASK_PATIENCE, link.describe()).await;
        }
    }

    /// What is known of one gateway besides its link.
    pub fn outlook(&self, gateway: &str) -> Outlook {
        self.inner.roster.outlook(gateway)
    }

    /// The same of every gateway of which something is known.
    pub fn outlooks(&self) -> HashMap<String, Outlook> {
        self.inner.roster.outlooks()
    }

    /// Where gateways that dial out are awaited; `None`: nowhere.
    pub fn dial_out_address(&self) -> Option<SocketAddr> {
        self.inner.dial_out.get().map(|(address, _)| *address)
    }

    /// Tells the names of the gateways whose links come, go or change from now on.
    pub fn follow(&self) -> Follower {
        self.inner.roster.follow()
    }

    /// Resolves when a link has come, gone or changed since this was called.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut changes = self.inner.roster.changes();
        async move {
            // An error says that the fleet is gone: that is a change, too.
            let _ = changes.changed().await;
        }
    }

    /// After an evict, a revoke or a new registration was stored: ends the gateway's sessions at
    /// once. Calls in flight become indeterminate.
    pub async fn close(&self, gateway: &str) {
        if self.inner.roster.cut(gateway) {
            tracing::info!(gateway, "link closed");
        }
    }

    /// Ends every link at once, and the calls in flight with them. Those that are dialled are
    /// dialled again.
    pub async fn close_all(&self) {
        for gateway in self.connected() {
            self.close(&gateway).await;
        }
    }

    /// After a gateway was removed from the roster: ends its sessions at once, and dials it no
    /// more.
    pub fn forget(&self, gateway: &str) {
        self.inner.roster.forget(gateway);
        tracing::info!(gateway, "forgotten");
    }

    /// After a gateway was renamed in the roster. Calls under way end through the link that there
    /// was; the next link comes under the new name.
    pub fn rename(&self, old: &str, new: &str) {
        self.inner.roster.rename(old, new);
        self.wake(new);
    }

    /// After a gateway was added, given another address or a new registration: looks at the roster
    /// again, and dials at once.
    pub fn wake(&self, gateway: &str) {
        let name = gateway.to_owned();
        let fleet = self.clone();
        self.inner.roster.wake_dialler(gateway, || {
            tokio::spawn(fleet.keep_dialling(name)).abort_handle()
        });
    }
}

fn keep_alive(settings: &Settings) -> transport::KeepAlive {
    transport::KeepAlive {
        // Spread, so that a fleet that came back in one moment is not asked in one moment.
        interval: dial::early(settings.links.keep_alive_interval),
        timeout: settings.links.keep_alive_timeout,
    }
}

/// What a gateway said, for a log or a message: one line, of a sensible length.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .take(MAX_QUOTED)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// A time for a message: RFC 3339 in UTC.
fn rfc3339(time: UnixMillis) -> String {
    let time = std::time::UNIX_EPOCH + Duration::from_millis(time.0);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// What these locks guard is whole at every moment, whoever panicked meanwhile.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
