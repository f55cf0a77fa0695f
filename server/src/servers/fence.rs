//! Whether this server may act. Pure: the time is passed in.
//!
//! Where servers share a repository, each renews its row there, and another one ends it once a beat
//! has stood for ten seconds. So what a server may do goes by when it *sent* the last renewal that
//! was acknowledged: the row was there then, and nobody has ended it for the times below.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::repository::{Fencing, RepositoryError};

/// For so long after the last acknowledged renewal was sent, calls may leave.
pub const MAY_DISPATCH: Duration = Duration::from_secs(7);
/// After so long links are closed.
pub const MUST_CLOSE: Duration = Duration::from_secs(20);

/// What one instance may do. Cheap to clone; all clones are one. What is gone once never comes
/// back.
#[derive(Clone, Debug)]
pub struct Fence {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Nobody shares the repository: there are no beats.
    alone: bool,
    began: Instant,
    /// Nanoseconds from `began` to when the last acknowledged renewal was sent; 0: there was none.
    renewed: AtomicU64,
    gone: AtomicBool,
}

impl Fence {
    /// Of a server that shares its repository with nobody: it may always act.
    pub fn alone() -> Self {
        Self::new(true)
    }

    /// Of a server with beats. Until the first is acknowledged it may do nothing.
    pub fn shared() -> Self {
        Self::new(false)
    }

    fn new(alone: bool) -> Self {
        Self {
            shared: Arc::new(Shared {
                alone,
                began: Instant::now(),
                renewed: AtomicU64::new(0),
                gone: AtomicBool::new(false),
            }),
        }
    }

    /// Whether there are beats.
    pub fn has_beats(&self) -> bool {
        !self.shared.alone
    }

    /// A renewal was acknowledged; `sent` is a moment before it was sent.
    pub fn renewed(&self, sent: Instant) {
        let since = sent.saturating_duration_since(self.shared.began);
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.shared
            .renewed
            .fetch_max(since.max(1), Ordering::AcqRel);
    }

    /// A moment before the last acknowledged renewal was sent; `None`: there was none, or there are
    /// no beats.
    pub fn last_renewal(&self) -> Option<Instant> {
        match self.shared.renewed.load(Ordering::Acquire) {
            0 => None,
            since => self.shared.began.checked_add(Duration::from_nanos(since)),
        }
    }

    /// Whether a call may leave at this moment.
    pub fn may_dispatch(&self, now: Instant) -> bool {
        self.is_within(MAY_DISPATCH, now)
    }

    /// Whether links are to be closed, and none may come.
    pub fn must_close(&self, now: Instant) -> bool {
        !self.is_within(MUST_CLOSE, now)
    }

    /// The row of this instance is gone.
    pub fn set_gone(&self) {
        if !self.shared.gone.swap(true, Ordering::AcqRel) {
            tracing::error!("{}", RepositoryError::TakenOver);
        }
    }

    /// Whether it is.
    pub fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Acquire)
    }

    fn is_within(&self, limit: Duration, now: Instant) -> bool {
        if self.is_gone() {
            return false;
        }
        let recent = |renewed| now.saturating_duration_since(renewed) < limit;
        self.shared.alone || self.last_renewal().is_some_and(recent)
    }
}

impl Fencing for Fence {
    fn may_act(&self) -> bool {
        self.may_dispatch(Instant::now())
    }

    fn is_gone(&self) -> bool {
        Self::is_gone(self)
    }

    fn set_gone(&self) {
        Self::set_gone(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn what_may_be_done_goes_by_when_the_last_acknowledged_renewal_was_sent() {
        let fence = Fence::shared();
        let start = Instant::now();
        assert!(!fence.may_dispatch(start) && fence.must_close(start));
        assert_eq!(fence.last_renewal(), None);
        fence.renewed(start);
        let just = Duration::from_nanos(1);
        for (after, dispatches, closes) in [
            (secs(0), true, false),
            (secs(7) - just, true, false),
            (secs(7), false, false),
            (secs(20) - just, false, false),
            (secs(20), false, true),
            (secs(3_600), false, true),
        ] {
            let now = start + after;
            let told = (fence.may_dispatch(now), fence.must_close(now));
            assert_eq!(told, (dispatches, closes), "{after:?}");
        }
        // It was not ended meanwhile: the next acknowledgement says so.
        fence.renewed(start + secs(3_600));
        assert!(fence.may_dispatch(start + secs(3_606)));
        // An acknowledgement that comes late takes nothing back.
        fence.renewed(start + secs(1));
        assert_eq!(fence.last_renewal(), Some(start + secs(3_600)));
    }

    #[test]
    fn what_is_gone_stays_gone() {
        for fence in [Fence::shared(), Fence::alone()] {
            let now = Instant::now();
            fence.renewed(now);
            assert!(fence.may_dispatch(now));
            fence.clone().set_gone();
            fence.renewed(now + secs(1));
            assert!(fence.is_gone() && fence.must_close(now + secs(1)));
            assert!(!fence.may_dispatch(now + secs(1)));
        }
    }

    #[test]
    fn who_shares_nothing_needs_no_beats() {
        let fence = Fence::alone();
        let later = Instant::now() + secs(1_000_000);
        assert!(fence.may_dispatch(later) && !fence.must_close(later));
        assert!(!fence.has_beats() && fence.last_renewal().is_none());
    }
}
