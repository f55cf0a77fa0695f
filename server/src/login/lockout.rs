//! How long another try has to wait after tries that failed.
//!
//! Whole milliseconds throughout. No number of failures and no clock makes the wait longer than its
//! cap, or wraps it to none.

use std::time::Duration;

use portcullis_common::rotation::UnixMillis;

/// How waits grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Failures that cost nothing.
    pub free: u32,
    /// The wait after the first one that does; each further one doubles it.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// Failures are forgotten after so long without one.
    pub forgotten: Duration,
}

/// Failures of one user at one application, from where that user is not known, or from one address
/// from where they are.
pub const OF_USER: Pace = Pace {
    free: 5,
    first: Duration::from_secs(1),
    cap: Duration::from_secs(15 * 60),
    forgotten: Duration::from_secs(24 * 60 * 60),
};

/// Failures from one address, whoever was named.
pub const OF_ADDRESS: Pace = Pace {
    free: 30,
    first: Duration::from_secs(1),
    cap: Duration::from_secs(15 * 60),
    forgotten: Duration::from_secs(60 * 60),
};

/// How long a user is known at an address from which they logged in.
pub const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Failures so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last one was.
    pub last: UnixMillis,
}

impl Failures {
    /// None yet.
    pub const NONE: Self = Self {
        count: 0,
        last: UnixMillis(0),
    };
}

impl Pace {
    /// How long it is to be waited after so many failures, in milliseconds.
    pub fn wait(&self, failures: u32) -> u64 {
        let cap = millis(self.cap);
        let Some(beyond) = failures.checked_sub(self.free.saturating_add(1)) else {
            return 0;
        };
        let doubled = 1_u64.checked_shl(beyond);
        doubled.map_or(cap, |times| {
            millis(self.first).saturating_mul(times).min(cap)
        })
    }

    /// How long another try still has to wait, in milliseconds; 0: not at all. A clock that was put
    /// back counts as one that stands.
    pub fn remaining(&self, failures: Failures, now: UnixMillis) -> u64 {
        let since = now.0.saturating_sub(failures.last.0);
        self.wait(self.known(failures, now)).saturating_sub(since)
    }

    /// Those failures with one more.
    pub fn with_one_more(&self, failures: Failures, now: UnixMillis) -> Failures {
        Failures {
            count: self.known(failures, now).saturating_add(1),
            last: now,
        }
    }

    fn known(&self, failures: Failures, now: UnixMillis) -> u32 {
        let since = now.0.saturating_sub(failures.last.0);
        if since >= millis(self.forgotten) {
            0
        } else {
            failures.count
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000_000_000);

    #[test]
    fn waits_double_up_to_their_cap_and_never_wrap() {
        let waits: Vec<_> = (0..=9).map(|failures| OF_USER.wait(failures)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1_000, 2_000, 4_000, 8_000]);
        for pace in [
            OF_USER,
            OF_ADDRESS,
            Pace {
                first: Duration::MAX,
                free: u32::MAX,
                ..OF_USER
            },
            Pace {
                first: Duration::from_millis(3),
                cap: Duration::MAX,
                ..OF_USER
            },
        ] {
            let mut before = 0;
            let few = 0..2_000;
            for failures in few.chain([1 << 20, u32::MAX - 1, u32::MAX]) {
                let wait = pace.wait(failures);
                assert!(
                    wait >= before && wait <= millis(pace.cap),
                    "{pace:?} {failures}"
                );
                before = wait;
            }
        }
    }

    #[test]
    fn a_wait_ends_with_the_clock_and_a_clock_that_jumps_makes_it_no_longer() {
        let failures = Failures {
            count: 8,
            last: NOW,
        };
        assert_eq!(OF_USER.remaining(failures, NOW), 4_000);
        assert_eq!(OF_USER.remaining(failures, NOW.plus(3_999)), 1);
        assert_eq!(OF_USER.remaining(failures, NOW.plus(4_000)), 0);
        for now in [
            UnixMillis(0),
            UnixMillis(NOW.0 - 3_600_000),
            UnixMillis(u64::MAX),
        ] {
            assert!(OF_USER.remaining(failures, now) <= 4_000, "{now:?}");
        }
        let many = Failures {
            count: u32::MAX,
            last: NOW,
        };
        assert_eq!(OF_USER.remaining(many, UnixMillis(0)), 900_000);
        assert_eq!(OF_USER.with_one_more(many, NOW).count, u32::MAX);
        // The day after it begins anew.
        let later = NOW.plus(24 * 60 * 60 * 1_000);
        assert_eq!(
            OF_USER.with_one_more(many, later),
            Failures {
                count: 1,
                last: later
            }
        );
    }
}
