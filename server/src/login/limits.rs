//! When a session is over: by the limits that held when its user logged in.

use std::time::Duration;

use portcullis_common::rotation::UnixMillis;

/// The longest that a session may be idle on this site.
pub const CEILING: Duration = Duration::from_secs(30 * 60);
/// The longest that a session may last, however it is used.
pub const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// How often it is written down that a session was used.
const WRITTEN_EVERY: u64 = 60_000;

/// How long a session lasts, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Without a request.
    pub idle_ms: u64,
    /// In any case.
    pub absolute_ms: u64,
}

/// When a session was made and used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When its user logged in.
    pub made: UnixMillis,
    /// When it was used last, as it is written down.
    pub used: UnixMillis,
}

impl Limits {
    /// These, but no longer than the site allows.
    pub fn within(idle: Duration, absolute: Duration) -> Self {
        let millis = |most: Duration, wanted: Duration| {
            u64::try_from(wanted.min(most).as_millis()).unwrap_or(u64::MAX)
        };
        Self {
            idle_ms: millis(CEILING, idle),
            absolute_ms: millis(LONGEST, absolute),
        }
    }

    /// When a session ends unless it is used before.
    pub fn expires(&self, times: Times) -> UnixMillis {
        let idle = times.used.0.saturating_add(self.idle_ms);
        let absolute = times.made.0.saturating_add(self.absolute_ms);
        UnixMillis(idle.min(absolute))
    }

    /// Whether it is over.
    pub fn is_over(&self, times: Times, now: UnixMillis) -> bool {
        now >= self.expires(times)
    }
}

impl Times {
    /// Whether a use at this time is to be written down: else every look would be a write.
    pub fn is_to_be_written(&self, now: UnixMillis) -> bool {
        now.0.abs_diff(self.used.0) >= WRITTEN_EVERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_whichever_limit_comes_first() {
        let limits = Limits::within(Duration::from_secs(60), Duration::from_secs(150));
        let made = UnixMillis(1_000);
        let at = |used| Times {
            made,
            used: UnixMillis(used),
        };
        assert!(!limits.is_over(at(1_000), UnixMillis(60_999)));
        assert!(limits.is_over(at(1_000), UnixMillis(61_000)));
        assert!(!limits.is_over(at(100_000), UnixMillis(150_999)));
        assert!(limits.is_over(at(100_000), UnixMillis(151_000)));
        // An hour ahead ends it; an hour back does not.
        assert!(limits.is_over(at(1_000), UnixMillis(3_600_000)));
        assert!(!limits.is_over(at(1_000), UnixMillis(0)));
        let forever = Times {
            made: UnixMillis(u64::MAX),
            used: UnixMillis(u64::MAX),
        };
        assert!(limits.is_over(forever, UnixMillis(u64::MAX)));
    }

    #[test]
    fn no_application_goes_beyond_what_the_site_allows() {
        let limits = Limits::within(Duration::MAX, Duration::MAX);
        assert_eq!(
            (limits.idle_ms, limits.absolute_ms),
            (1_800_000, 43_200_000)
        );
    }

    #[test]
    fn a_use_is_written_down_once_a_minute() {
        let times = Times {
            made: UnixMillis(0),
            used: UnixMillis(500_000),
        };
        assert!(!times.is_to_be_written(UnixMillis(559_999)));
        assert!(times.is_to_be_written(UnixMillis(560_000)));
        assert!(times.is_to_be_written(UnixMillis(440_000)));
    }
}
