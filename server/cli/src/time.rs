//! Times as people and programs read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock: what this program dates by it, it dates here.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// RFC 3339 in UTC, to the second; `None` for 0, which stands for never.
pub(crate) fn rfc3339(unix_ms: i64) -> Option<String> {
    let millis = u64::try_from(unix_ms).ok().filter(|ms| *ms > 0)?;
    // Later than year 9999 is no time that a server of ours sends.
    (millis < 253_402_300_800_000).then(|| {
        let time = UNIX_EPOCH + Duration::from_millis(millis);
        humantime::format_rfc3339_seconds(time).to_string()
    })
}

/// The time and how long ago, or how far ahead, it is: `2026-11-21T23:40:00Z (3 min ago)`.
pub(crate) fn time_and_age(unix_ms: i64, now: SystemTime) -> Option<String> {
    let time = rfc3339(unix_ms)?;
    Some(format!("{time} ({})", age(unix_ms, now)?))
}

/// How long ago, or how far ahead: `3 min ago`, `in 2 h`.
pub(crate) fn age(unix_ms: i64, now: SystemTime) -> Option<String> {
    let millis = u64::try_from(unix_ms).ok().filter(|ms| *ms > 0)?;
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(millis))?;
    Some(match now.duration_since(time) {
        Ok(past) if past < Duration::from_secs(1) => "just now".to_owned(),
        Ok(past) => format!("{} ago", rough(past)),
        Err(ahead) => format!("in {}", rough(ahead.duration())),
    })
}

/// `40 s`, `2 min`, `3 h`, `12 days`
pub(crate) fn rough(duration: Duration) -> String {
    // Rounded: a token made just now is valid for 24 h, not for 23.
    let seconds = (duration.as_millis() + 500) / 1_000;
    let rounded = |unit: u128| (seconds + unit / 2) / unit;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_570 => format!("{} min", rounded(60)),
        3_570..171_000 => format!("{} h", rounded(3_600)),
        _ => format!("{} days", rounded(86_400)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The time at which tests look.
    pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

    /// The same, as the views take it.
    pub(crate) fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(NOW_MS.unsigned_abs())
    }

    #[test]
    fn times_are_utc_with_their_age() {
        let (now, ms) = (now(), NOW_MS);
        assert_eq!(
            time_and_age(ms - 180_000, now).unwrap(),
            "2027-01-15T07:57:00Z (3 min ago)"
        );
        assert_eq!(age(ms + 86_400_000, now).unwrap(), "in 24 h");
        assert_eq!(age(ms, now).unwrap(), "just now");
        assert_eq!(age(ms - 3 * 86_400_000, now).unwrap(), "3 days ago");
        for never in [0, -5, i64::MIN] {
            assert_eq!(time_and_age(never, now), None);
        }
        assert_eq!(rfc3339(i64::MAX), None);
    }
}
