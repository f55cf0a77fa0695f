//! The time by which calls expire: it runs as the server runs, whatever becomes of the host's
//! clock.
//!
//! It goes on from the host's clock, and follows it as long as that runs evenly. Where the clock
//! was put back, no deadline that has passed lies ahead again; where it was put ahead, nothing
//! expires by that. Of the time in which no server ran, at most a day counts.
//!
//! Where servers share a database, its clock stands in the place of the host's: by whichever server
//! a call was queued, all find that it expires at the same time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use tokio::time::Instant;

use crate::repository::{Repository, RepositoryError};

/// A clock that is off by more was put somewhere else.
const JUMP_MS: u64 = 60_000;
/// The time is written down so often at most.
const KEPT_EVERY: Duration = Duration::from_secs(10);
/// Of a time in which no server ran, no more counts.
const LONGEST_PAUSE_MS: u64 = 24 * 60 * 60 * 1_000;

/// The server's own time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTime(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// At `since`.
    base: u64,
    since: Instant,
    /// The host's clock less this time, as it was last told.
    told: i64,
    /// When it was written down last.
    kept: Option<Instant>,
}

impl ServerTime {
    /// The host's time, until [`Self::go_on`].
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            base: clock::now().0,
            since: Instant::now(),
            told: 0,
            kept: None,
        })))
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        self.with(|state| UnixMillis(state.now()))
    }

    /// What the host's clock showed, or will show, at `time`, as it now stands.
    pub fn shown(&self, time: UnixMillis) -> UnixMillis {
        self.with(|state| {
            let ahead = state.ahead(clock::now().0);
            // What rounding and its own drift make of it is no difference.
            match ahead.unsigned_abs() < JUMP_MS {
                true => time,
                false => UnixMillis(time.0.saturating_add_signed(ahead)),
            }
        })
    }

    /// Goes on from where the last run of the server left it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) async fn go_on(&self, repository: &Repository) -> Result<(), RepositoryError> {
        let wall = wall(repository).await?;
        if let Some((own, then)) = repository.database().meta().server_time().await? {
            let base = gone_on(own, then, wall);
            self.with(|state| {
                (state.base, state.since) = (base, Instant::now());
                state.warn(wall);
            });
        }
        self.keep(repository).await
    }

    /// Follows the clock where that runs evenly, and writes the time down.
    ///
    /// # Errors
    /// [`RepositoryError`]: it was not written down.
    pub(super) async fn keep(&self, repository: &Repository) -> Result<(), RepositoryError> {
        let is_due = self.with(|state| {
            let now = Instant::now();
            let is_due = state.kept.is_none_or(|kept| now >= kept + KEPT_EVERY);
            if is_due {
                state.kept = Some(now);
            }
            is_due
        });
        if !is_due {
            return Ok(());
        }
        let wall = wall(repository).await?;
        let own = self.with(|state| {
            let now = Instant::now();
            state.follow(wall, now);
            state.at(now)
        });
        let meta = repository.database().meta();
        meta.set_server_time(own, wall).await
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // Whole at every moment, whoever panicked meanwhile.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> u64 {
        let run = instant.saturating_duration_since(self.since);
        self.base.saturating_add(millis(run))
    }

    fn ahead(&self, wall: u64) -> i64 {
        self.ahead_at(wall, Instant::now())
    }

    fn ahead_at(&self, wall: u64, instant: Instant) -> i64 {
        wall.cast_signed()
            .saturating_sub(self.at(instant).cast_signed())
    }

    /// Follows the host's clock, which shows `wall`, where that runs evenly.
    fn follow(&mut self, wall: u64, instant: Instant) {
        let ahead = self.ahead_at(wall, instant);
        // It never goes back.
        if (0..JUMP_MS.cast_signed()).contains(&ahead) {
            (self.base, self.since) = (wall, instant);
        } else {
            self.warn(wall);
        }
    }

    /// Tells once where the clock was put somewhere else.
    fn warn(&mut self, wall: u64) {
        let ahead = self.ahead(wall);
        if ahead.abs_diff(self.told) >= JUMP_MS {
            self.told = ahead;
            tracing::warn!(
                seconds = ahead / 1_000,
                "this host's clock was put ahead (or back, where that is negative) of the time by which calls expire, or the server did not run for long: no call expires by that, and none that has expired is sent"
            );
        }
    }
}

/// What the clock shows that the time follows: the host's, or that of a database which servers
/// share.
async fn wall(repository: &Repository) -> Result<u64, RepositoryError> {
    match repository.database().is_shared() {
        true => Ok(repository.database().now().await?.0),
        false => Ok(clock::now().0),
    }
}

/// Where the time goes on that was `own` as the host's clock showed `then`, and which now shows
/// `wall`.
fn gone_on(own: u64, then: u64, wall: u64) -> u64 {
    own.saturating_add(wall.saturating_sub(then).min(LONGEST_PAUSE_MS))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_a_day_at_most_and_a_clock_put_back_not_at_all() {
        const DAY: u64 = LONGEST_PAUSE_MS;
        for (own, then, wall, now) in [
            (1_000, 1_000, 5_000, 5_000),
            (9_000, 1_000, 5_000, 13_000),
            (9_000, 9_000, 5_000, 9_000),
            (9_000, 9_000, 9_000 + 40 * DAY, 9_000 + DAY),
        ] {
            assert_eq!(gone_on(own, then, wall), now);
        }
    }

    /// With it go the deadlines of calls, how long they wait, and how long results are kept.
    #[test]
    fn an_hour_or_a_year_ahead_or_back_moves_no_deadline() {
        const HOUR: i64 = 3_600_000;
        let begun = Instant::now();
        let start = 1_000 * LONGEST_PAUSE_MS;
        for jump in [HOUR, -HOUR, 365 * 24 * HOUR, -365 * 24 * HOUR] {
            let mut state = State {
                base: start,
                since: begun,
                told: 0,
                kept: None,
            };
            // Every ten seconds for two hours; in the second of them the clock is somewhere else.
            for step in 0..720_u64 {
                let run = step * 10_000;
                let instant = begun + Duration::from_millis(run);
                let off = if step < 360 { 0 } else { jump };
                // It runs a little fast, which is followed.
                let wall = start + run + run / 1_000;
                state.follow(wall.saturating_add_signed(off), instant);
                let told = state.at(instant);
                let ran = told - start;
                assert!(
                    ran >= run && ran <= run + run / 1_000,
                    "{jump}: {ran} {run}"
                );
            }
            // Once it is right again it is followed on.
            let run = 7_200_000;
            let instant = begun + Duration::from_millis(run);
            state.follow(start + run + 8_000, instant);
            assert_eq!(state.at(instant), start + run + 8_000, "{jump}");
        }
    }

    #[test]
    fn a_time_is_shown_as_the_hosts_clock_has_it() {
        let time = ServerTime::new();
        let at = UnixMillis(time.now().0 + 5_000);
        assert_eq!(time.shown(at), at);
        time.with(|state| state.base -= 3_600_000);
        let shown = time.shown(UnixMillis(at.0 - 3_600_000));
        assert!(shown.0.abs_diff(at.0) < 1_000, "{shown:?} {at:?}");
    }
}
