//! The wall clock, which the programs read here alone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis_common::rotation::UnixMillis;

/// The end of the year 9999.
const MAX_PRINTABLE: u64 = 253_402_300_799_000;

/// The time now; 1970 where the clock stands before it.
pub fn now() -> UnixMillis {
    UnixMillis(u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX))
}

/// The same in nanoseconds since 1970.
pub fn now_ns() -> u64 {
    u64::try_from(since_1970().as_nanos()).unwrap_or(u64::MAX)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// A point in time as people read it: RFC 3339, in UTC, to the second.
pub fn text(time: UnixMillis) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(time.0.min(MAX_PRINTABLE));
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_can_be_printed() {
        assert_eq!(text(UnixMillis(0)), "1970-01-01T00:00:00Z");
        assert_eq!(text(UnixMillis(1_000)), "1970-01-01T00:00:01Z");
        assert_eq!(text(UnixMillis(u64::MAX)), "9999-12-31T23:59:59Z");
    }
}
