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

use std::collections::VecDeque;
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
use super::transport::Requests;

/// For so long after a reading calls may be begun, in milliseconds of the gateway's clock.
const WINDOW_MS: u64 = 7_000;
/// A reading that is older is not used: what is left of its time would be too short.
const FRESH: Duration = Duration::from_secs(4);
/// From this age on a newer one is fetched beside the calls that go on.
const RENEWED: Duration = Duration::from_secs(2);
/// Readings that wait for a renewal, at most.
const MOST: usize = 8;
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

/// What the clock of a gateway showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    /// When that had come here.
    came: Instant,
    clock_ms: NonZeroU64,
}

/// What is known of a gateway's clock in one session.
#[derive(Debug, Default)]
struct Reckoning {
    /// Oldest first; each came after the last acknowledged renewal was sent.
    waiting: VecDeque<Reading>,
    /// The newest that came before it.
    counts: Option<Reading>,
    /// The gateway is of a version that does not tell.
    untold: bool,
}

impl Reckoning {
    /// A reply had come by `came`; it says `clock_ms`, or 0.
    fn came(&mut self, came: Instant, clock_ms: u64) {
        let Some(clock_ms) = NonZeroU64::new(clock_ms) else {
            self.untold = true;
            return;
        };
        if self.waiting.len() >= MOST {
            self.waiting.pop_back();
        }
        self.waiting.push_back(Reading { came, clock_ms });
    }

    /// The last acknowledged renewal was sent after `sent`.
    fn renewed(&mut self, sent: Instant) {
        while let Some(reading) = self.waiting.front().filter(|it| it.came < sent) {
            self.counts = Some(*reading);
            self.waiting.pop_front();
        }
    }

    /// The moment that calls carry, where the reading that it rests on is young enough.
    fn not_after(&self, now: Instant) -> Option<NonZeroU64> {
        let counts = self.counts.filter(|counts| age(counts, now) < FRESH)?;
        Some(counts.clock_ms.saturating_add(WINDOW_MS))
    }

    /// Whether a newer reading is to be fetched: none is under way that will do.
    fn is_due(&self, now: Instant) -> bool {
        let newest = self.waiting.back().or(self.counts.as_ref());
        newest.is_none_or(|newest| age(newest, now) >= RENEWED)
    }
}

fn age(reading: &Reading, now: Instant) -> Duration {
    now.saturating_duration_since(reading.came)
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
                if reckoning.untold {
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_reading_counts_once_a_renewal_that_was_sent_after_it_is_acknowledged() {
        let begin = Instant::now();
        let mut clock = Reckoning::default();
        let shown = |clock: &Reckoning, at| clock.not_after(begin + ms(at)).map(NonZeroU64::get);
        clock.came(begin + ms(100), 50_000);
        assert_eq!(shown(&clock, 150), None);
        // Sent before the reply had come, or in that very moment.
        clock.renewed(begin + ms(90));
        clock.renewed(begin + ms(100));
        assert_eq!(shown(&clock, 200), None);
        clock.renewed(begin + ms(101));
        assert_eq!(shown(&clock, 200), Some(57_000));
        // One that came after the last renewal was sent does not count yet.
        clock.came(begin + ms(2_200), 52_100);
        assert_eq!(shown(&clock, 2_300), Some(57_000));
        clock.renewed(begin + ms(2_200));
        assert_eq!(shown(&clock, 2_300), Some(57_000));
        clock.renewed(begin + ms(2_300));
        assert_eq!(shown(&clock, 2_300), Some(59_100));
    }

    #[test]
    fn of_several_readings_before_a_renewal_the_newest_counts_and_none_is_lost_to_a_later_one() {
        let begin = Instant::now();
        let mut clock = Reckoning::default();
        for at in [100, 200, 900] {
            clock.came(begin + ms(at), 1_000 + at);
        }
        clock.renewed(begin + ms(500));
        assert_eq!(
            clock.not_after(begin + ms(950)).map(NonZeroU64::get),
            Some(8_200)
        );
    }

    #[test]
    fn an_old_reading_is_not_used_and_a_newer_one_is_fetched_before_that() {
        let begin = Instant::now();
        let mut clock = Reckoning::default();
        assert!(clock.is_due(begin));
        clock.came(begin, 1);
        clock.renewed(begin + ms(1));
        for (at, fresh, due) in [
            (0, true, false),
            (1_999, true, false),
            (2_000, true, true),
            (3_999, true, true),
            (4_000, false, true),
            (60_000, false, true),
        ] {
            let now = begin + ms(at);
            let told = (clock.not_after(now).is_some(), clock.is_due(now));
            assert_eq!(told, (fresh, due), "{at} ms");
        }
        // One is on its way to count.
        clock.came(begin + ms(2_100), 2_101);
        assert!(!clock.is_due(begin + ms(2_200)));
    }

    #[test]
    fn a_server_that_slept_takes_no_reading_for_a_new_one() {
        // It slept between the reply and the renewal: whatever its own clock says of that, the
        // moment is reckoned from the reading.
        let begin = Instant::now();
        let mut clock = Reckoning::default();
        clock.came(begin, 5_000);
        clock.renewed(begin + ms(1));
        assert_eq!(
            clock.not_after(begin + ms(2)).map(NonZeroU64::get),
            Some(12_000)
        );
        // Readings that nobody confirms do not pile up.
        for at in 0..100 {
            clock.came(begin + ms(10 + at), 5_000 + at);
        }
        assert_eq!(clock.waiting.len(), MOST);
    }

    #[test]
    fn a_gateway_of_before_tells_none() {
        let mut clock = Reckoning::default();
        clock.came(Instant::now(), 0);
        assert!(clock.untold && clock.waiting.is_empty());
    }
}
