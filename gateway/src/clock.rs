//! The wall clock, read here alone.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_common::rotation::UnixMillis;

/// Now; 1970 where the clock stands before it.
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A point in time as people read it: RFC 3339, in UTC, to the second.
pub fn text(time: UnixMillis) -> String {
    let time = UNIX_EPOCH + std::time::Duration::from_millis(time.0.min(MAX_PRINTABLE));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The end of the year 9999.
const MAX_PRINTABLE: u64 = 253_402_300_799_000;
