//! The moment of a gateway's clock after which it begins nothing of a call.
//!
//! Where several servers share a repository, one that was stopped in the middle of a call must not
//! have it begun once it was declared gone, however long it slept. So each call says until when it
//! may be begun, on the *gateway's* clock, and that moment rests on what surely came before this
//! server was last seen alive:
//!
//! ```text
//!   gateway's clock   ──── reading ────────────────────────── reading + 7 s ──▶
//!                            │ ping's reply                        ▲ calls carry this
//!   this server       ───────▼──── renewal sent ──── acknowledged ─┘
//!   repository        ────────────────▼ beat is new: nobody ends this server for 10 s
//! ```
//!
//! The reading was taken before the renewal was sent, so the repository saw the server alive after
//! it. No clock of a server enters: this one's own only tells which came first.

use std::fmt;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use portcullis_proto::gateway::v1::PingRequest;
use portcullis_proto::gateway::v1::control_client::ControlClient;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::lock;
use super::reckoning::Reckoning;
use super::transport::Requests;

/// How long a gateway may take to say what its clock shows.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells when this server was last seen alive by those that share its repository.
pub trait Renewals: fmt::Debug + Send + Sync {
    /// A moment before the last acknowledged renewal was sent; `None`: there was none.
    fn last(&self) -> Option<Instant>;

    /// Has one sent now, and resolves once one that was sent after this is acknowledged: `true`; or
    /// none will be. One serves all that wait.
    fn renew(&self) -> Pin<Box<dyn Future<Output = bool> + Send>>;
}

/// Gives the calls of one link their moment.
pub(super) struct Moments {
    renewals: Arc<dyn Renewals>,
    control: ControlClient<Requests>,
    reckoning: Arc<Mutex<Reckoning>>,
    /// A newer reading is on its way.
    fetching: Option<JoinHandle<Result<(), Untold>>>,
}

/// The gateway did not say what its clock shows, or this server is not seen alive any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Untold;

impl Moments {
    /// Of a link with this client.
    pub(super) fn new(renewals: Arc<dyn Renewals>, control: ControlClient<Requests>) -> Self {
        Self {
            renewals,
            control,
            reckoning: Arc::default(),
            fetching: None,
        }
    }

    /// The moment for calls that are about to be checked; `None`: this gateway knows none. Waits
    /// where there is no young reading, for a ping and a renewal.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<NonZeroU64>, Untold>> {
        loop {
            let now = Instant::now();
            let (not_after, is_due) = {
                let mut reckoning = lock(&self.reckoning);
                if reckoning.is_untold() {
                    return Poll::Ready(Ok(None));
                }
                if let Some(sent) = self.renewals.last() {
                    reckoning.renewed(sent);
                }
                (reckoning.not_after(now), reckoning.is_due(now))
            };
            let fetched = match &mut self.fetching {
                Some(fetching) => Pin::new(fetching).poll(cx),
                None if not_after.is_none() || is_due => {
                    let fetch = self.fetch(is_due, not_after.is_none());
                    self.fetching = Some(tokio::spawn(fetch));
                    continue;
                }
                None => Poll::Pending,
            };
            if fetched.is_ready() {
                self.fetching = None;
            }
            if not_after.is_some() {
                return Poll::Ready(Ok(not_after));
            }
            if !matches!(ready!(fetched), Ok(Ok(()))) {
                return Poll::Ready(Err(Untold));
            }
        }
    }

    /// Asks for a reading, and has it count at once where somebody waits.
    fn fetch(
        &self,
        ask: bool,
        at_once: bool,
    ) -> impl Future<Output = Result<(), Untold>> + Send + 'static {
        let (renewals, mut control) = (Arc::clone(&self.renewals), self.control.clone());
        let reckoning = Arc::clone(&self.reckoning);
        async move {
            if ask {
                let asked = timeout(PING_TIMEOUT, control.ping(PingRequest::default())).await;
                let Ok(Ok(told)) = asked else {
                    return Err(Untold);
                };
                // The connection closes with the last who can send requests over it.
                drop(control);
                lock(&reckoning).came(Instant::now(), told.into_inner().clock_ms);
            }
            let counts = !at_once || renewals.renew().await;
            counts.then_some(()).ok_or(Untold)
        }
    }
}

impl fmt::Debug for Moments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moments")
            .field("reckoning", &self.reckoning)
            .finish_non_exhaustive()
    }
}

impl Drop for Moments {
    fn drop(&mut self) {
        if let Some(fetching) = &self.fetching {
            fetching.abort();
        }
    }
}
