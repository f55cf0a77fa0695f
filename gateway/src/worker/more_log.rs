//! What a server has this gateway log besides, for a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_host::log::{self, MoreLog};
use portcullis_proto::control::MAX_MORE_LOG;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tracing::info;

/// Its time is over by the host's monotonic clock, whatever became of the link by which it was
/// asked for. It is kept in memory alone: a restart ends it.
#[derive(Debug, Default)]
pub(super) struct More {
    standing: Mutex<Option<Standing>>,
}

#[derive(Debug)]
struct Standing {
    filter: MoreLog,
    until: Instant,
    /// What ends it then.
    end: AbortHandle,
}

impl More {
    /// From now on this is logged besides, for so long, [`MAX_MORE_LOG`] at the most, in place of
    /// what was before.
    pub(super) fn begin(self: &Arc<Self>, filter: MoreLog, lasting: Duration) {
        let until = Instant::now() + lasting.min(MAX_MORE_LOG);
        let more = Arc::downgrade(self);
        let mut standing = self.lock();
        // Held until the new one stands: a short time cannot be over before.
        let end = tokio::spawn(async move {
            sleep_until(until).await;
            if let Some(more) = more.upgrade() {
                more.end_of(until);
            }
        });
        log::set_more(Some(&filter));
        let former = standing.replace(Standing {
            filter,
            until,
            end: end.abort_handle(),
        });
        if let Some(former) = former {
            former.end.abort();
        }
    }

    /// From now on nothing is logged besides. `false`: nothing was.
    pub(super) fn end(&self) -> bool {
        let mut standing = self.lock();
        log::set_more(None);
        let former = standing.take();
        if let Some(former) = &former {
            former.end.abort();
        }
        former.is_some()
    }

    /// What is logged besides, and for how long yet.
    pub(super) fn standing(&self) -> Option<(String, Duration)> {
        let standing = self.lock();
        let standing = standing.as_ref()?;
        let left = standing.until.saturating_duration_since(Instant::now());
        Some((standing.filter.to_string(), left))
    }

    /// The time of what was to end then is over. Another may have taken its place meanwhile.
    fn end_of(&self, until: Instant) {
        let mut standing = self.lock();
        if standing.as_ref().is_some_and(|found| found.until == until) {
            *standing = None;
            log::set_more(None);
            info!("the log is as the configuration says again: the time is over");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> MoreLog {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_by_itself_and_the_last_one_holds() {
        let more = Arc::new(More::default());
        let stands = || more.standing().map(|(text, left)| (text, left.as_secs()));
        more.begin(filter("debug"), Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(stands(), Some(("debug".to_owned(), 4)));
        more.begin(filter("trace"), Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(stands(), Some(("trace".to_owned(), 4)));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(stands(), None);
        assert!(!more.end());
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_an_hour_at_the_most_and_is_ended_before() {
        let more = Arc::new(More::default());
        more.begin(filter("debug"), Duration::from_hours(24));
        let left = more.standing().map(|(_, left)| left);
        assert_eq!(left, Some(Duration::from_hours(1)));
        assert!(more.end());
        assert_eq!(more.standing(), None);
    }
}
