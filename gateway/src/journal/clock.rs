//! The clock of the journal, and how old its entries are, whatever becomes of the clock.
//!
//! What is written is the host's time. By it an entry grows old, too, but not by a jump of it: for
//! a day its age goes on as the gateway runs, in which a clock that was put ahead by mistake is
//! put right again. After that the new time is believed, for the one before may have been the
//! wrong one; provided that it has gone on meanwhile as the gateway ran, for a second jump is
//! doubted as the first.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A clock that is ahead by more was put there.
const JUMP_MS: u64 = 60_000;
/// How long it is not believed.
const DOUBT: Duration = Duration::from_secs(24 * 60 * 60);

/// The clock of one run.
#[derive(Debug)]
pub(super) struct Clock {
    ages: Mutex<Ages>,
    /// How far it is ahead of the host's, in milliseconds: 0, but in tests.
    ahead: AtomicI64,
}

/// The time by which entries grow old: it was `base` at `since`.
#[derive(Debug)]
struct Ages {
    base: u64,
    since: Instant,
    /// Where the host's clock is ahead of it: since when it goes on from there as the gateway
    /// runs, and what it showed then.
    doubted: Option<(Instant, u64)>,
}

impl Clock {
    /// As the host's clock now stands.
    pub(super) fn new() -> Self {
        Self {
            ages: Mutex::new(Ages::new(super::now(), Instant::now())),
            ahead: AtomicI64::new(0),
        }
    }

    /// The time now, in milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        super::now().saturating_add_signed(self.ahead.load(Ordering::Relaxed))
    }

    /// Puts it so many milliseconds ahead of the host's, or behind it.
    #[cfg(test)]
    pub(super) fn put(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// The time by which entries have grown old.
    pub(super) fn for_ages(&self) -> u64 {
        let now = self.now();
        let mut ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        ages.at(now, Instant::now())
    }
}

impl Ages {
    const fn new(base: u64, since: Instant) -> Self {
        Self {
            base,
            since,
            doubted: None,
        }
    }

    /// The time where the host's clock shows `wall` at `instant`.
    fn at(&mut self, wall: u64, instant: Instant) -> u64 {
        let gone_on = |from: u64, since: Instant| {
            let run = instant.saturating_duration_since(since).as_millis();
            from.saturating_add(u64::try_from(run).unwrap_or(u64::MAX))
        };
        let own = gone_on(self.base, self.since);
        if wall > own.saturating_add(JUMP_MS) {
            let (since, shown) = *self.doubted.get_or_insert((instant, wall));
            if gone_on(shown, since).abs_diff(wall) > JUMP_MS {
                self.doubted = Some((instant, wall));
                return own;
            }
            if instant.saturating_duration_since(since) < DOUBT {
                return own;
            }
        }
        *self = Self::new(wall, instant);
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const YEAR: u64 = 365 * 24 * HOUR;

    #[test]
    fn a_jump_ages_nothing_for_a_day_and_a_clock_put_back_makes_all_young() {
        let begun = Instant::now();
        let hours = |hours| begun + Duration::from_millis(hours * HOUR);
        let mut ages = Ages::new(YEAR, begun);
        // At this hour, the clock shows so many hours more than a year, and ages go by so many.
        for (hour, shown, age) in [
            (1, 1, 1),
            (2, 2 + 365 * 24, 2),
            (20, 20 + 365 * 24, 20),
            // It was put right.
            (30, 30, 30),
            (31, 32, 31),
            (54, 55, 54),
            // It stays where it was put: it is believed.
            (55, 56, 56),
            (60, 61, 61),
        ] {
            let told = ages.at(YEAR + shown * HOUR, hours(hour));
            assert_eq!(told, YEAR + age * HOUR, "hour {hour}");
        }
        // A jump while one is doubted is doubted anew, ahead or part of the way back.
        for (hour, shown, age) in [
            (70, 70 + 365 * 24, 71),
            (90, 90 + 20 * 365 * 24, 91),
            (100, 100 + 20 * 365 * 24, 101),
            (110, 110 + 365 * 24, 111),
            (133, 133 + 365 * 24, 134),
            (134, 134 + 365 * 24, 134 + 365 * 24),
        ] {
            let told = ages.at(YEAR + shown * HOUR, hours(hour));
            assert_eq!(told, YEAR + age * HOUR, "hour {hour}");
        }
        assert_eq!(ages.at(YEAR / 2, hours(161)), YEAR / 2);
        assert_eq!(ages.at(YEAR / 2 + HOUR, hours(162)), YEAR / 2 + HOUR);
    }
}
