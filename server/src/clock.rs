//! The one place that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_common::rotation::UnixMillis;

/// The time now. Before 1970 it is 1970.
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
