//! Lets so much through in a time, and counts what it holds back.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

/// How much is let through: a burst, of which so much comes back after each interval.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Let through in a row; at least 1.
    pub burst: u64,
    /// What comes back of it.
    pub refill: u64,
    /// How often.
    pub every: Duration,
}

/// What is left of a [`Limit`]. `T` is a point in time, by whatever clock the caller goes.
#[derive(Clone, Copy, Debug)]
pub struct Allowance<T> {
    spent: u64,
    /// The last refill, or the first spending from a full allowance.
    since: Option<T>,
    held_back: u64,
}

impl<T> Default for Allowance<T> {
    /// All of it.
    fn default() -> Self {
        Self {
            spent: 0,
            since: None,
            held_back: 0,
        }
    }
}

impl<T: Copy + PartialOrd + Add<Duration, Output = T> + Sub<Output = Duration>> Allowance<T> {
    /// Whether one more is let through; if so, how many were held back since the last one.
    pub fn admit(&mut self, limit: &Limit, now: T) -> Option<u64> {
        self.refill(limit, now);
        if self.spent >= limit.burst {
            self.held_back += 1;
            return None;
        }
        self.spent += 1;
        Some(std::mem::take(&mut self.held_back))
    }

    /// How many were held back, once one more would be let through: it is spent for saying so.
    pub fn due(&mut self, limit: &Limit, now: T) -> Option<u64> {
        if self.held_back == 0 {
            return None;
        }
        self.refill(limit, now);
        if self.spent >= limit.burst {
            return None;
        }
        self.spent += 1;
        Some(std::mem::take(&mut self.held_back))
    }

    /// Whether it is as good as new.
    pub fn is_full(&mut self, limit: &Limit, now: T) -> bool {
        self.refill(limit, now);
        self.spent == 0 && self.held_back == 0
    }

    fn refill(&mut self, limit: &Limit, now: T) {
        let since = self.since.filter(|since| self.spent > 0 && *since <= now);
        let Some(since) = since else {
            self.since = Some(now);
            return;
        };
        let intervals = (now - since).as_nanos() / limit.every.as_nanos().max(1);
        let refills = u32::try_from(intervals).unwrap_or(u32::MAX);
        self.spent = self
            .spent
            .saturating_sub(limit.refill.saturating_mul(refills.into()));
        self.since = Some(if self.spent == 0 {
            now
        } else {
            since + limit.every * refills
        });
    }
}

/// Lets one through a minute, of what may come again and again for hours.
#[derive(Debug, Default)]
pub struct Seldom(Allowance<Instant>);

impl Seldom {
    const LIMIT: Limit = Limit {
        burst: 1,
        refill: 1,
        every: Duration::from_secs(60),
    };

    /// Whether one more is let through; if so, how many were held back since the last one.
    pub fn admit(&mut self) -> Option<u64> {
        self.0.admit(&Self::LIMIT, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        burst: 3,
        refill: 1,
        every: Duration::from_secs(10),
    };

    #[test]
    fn a_burst_is_let_through_and_then_what_comes_back() {
        let at = Duration::from_secs;
        let mut allowance = Allowance::default();
        let through = (0..100).filter_map(|_| allowance.admit(&LIMIT, at(0)));
        assert_eq!(through.collect::<Vec<_>>(), [0, 0, 0]);
        assert_eq!(allowance.due(&LIMIT, at(9)), None);
        assert_eq!(allowance.due(&LIMIT, at(10)), Some(97));
        assert_eq!(allowance.admit(&LIMIT, at(19)), None);
        assert_eq!(allowance.admit(&LIMIT, at(20)), Some(1));
        assert!(!allowance.is_full(&LIMIT, at(49)));
        assert!(allowance.is_full(&LIMIT, at(50)));
    }

    #[test]
    fn no_more_than_the_burst_is_saved_up() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.admit(&LIMIT, Duration::ZERO), Some(0));
        let later = Duration::from_hours(1_000_000);
        let through = (0..100).filter(|_| allowance.admit(&LIMIT, later).is_some());
        assert_eq!(through.count(), 3);
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nothing_back_for_longer() {
        let mut allowance = Allowance::default();
        for _ in 0..4 {
            allowance.admit(&LIMIT, Duration::from_secs(1_000));
        }
        assert_eq!(allowance.admit(&LIMIT, Duration::from_secs(5)), None);
        assert_eq!(allowance.admit(&LIMIT, Duration::from_secs(15)), Some(2));
    }
}
