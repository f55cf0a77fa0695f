//! Times as Windows counts them: hundreds of nanoseconds since 1601 (FILETIME, MS-DTYP 2.3.3).

use std::time::{Duration, SystemTime};

use crate::model::Value;

/// Attributes that hold such a time, in lower case.
const TIMES: [&str; 8] = [
    "accountexpires",
    "badpasswordtime",
    "lastlogoff",
    "lastlogon",
    "lastlogontimestamp",
    "lockouttime",
    "msds-userpasswordexpirytimecomputed",
    "pwdlastset",
];

/// Between 1601 and 1970.
const EPOCH: Duration = Duration::from_secs(11_644_473_600);
/// In a second.
const TICKS: u64 = 10_000_000;
/// From 1970 until the end of the year 9999: no later moment can be written out.
const LAST: Duration = Duration::from_secs(253_402_300_799);

fn is_time(attribute: &str) -> bool {
    TIMES
        .iter()
        .any(|time| time.eq_ignore_ascii_case(attribute))
}

/// A value that is a moment; what stands for `never`, `at once` and their like stays a number.
pub(super) fn to_model(attribute: &str, value: &[u8]) -> Option<Value> {
    if !is_time(attribute) {
        return None;
    }
    let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    let special = number <= 0 || number == i64::MAX;
    let moment = u64::try_from(number)
        .ok()
        .filter(|_| !special)
        .and_then(moment);
    Some(moment.map_or(Value::Integer(number), Value::Time))
}

/// A moment as Windows has it.
pub(super) fn to_directory(attribute: &str, value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Time(time) if is_time(attribute) => {
            let since = time
                .duration_since(SystemTime::UNIX_EPOCH)
                .ok()?
                .checked_add(EPOCH)?;
            let ticks = since.as_nanos() / 100;
            Some(ticks.to_string().into_bytes())
        }
        _ => None,
    }
}

fn moment(ticks: u64) -> Option<SystemTime> {
    let seconds = Duration::from_secs(ticks / TICKS);
    let rest = Duration::from_nanos(ticks % TICKS * 100);
    let since = seconds.checked_add(rest)?.checked_sub(EPOCH)?;
    if since > LAST {
        return None;
    }
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_as_it_went_and_never_stays_a_number() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        let bytes = to_directory("accountExpires", &Value::Time(time)).unwrap();
        assert_eq!(bytes, b"133444736005000000");
        assert_eq!(to_model("accountExpires", &bytes), Some(Value::Time(time)));
        let end = 2_650_467_743_990_000_000;
        let last = to_model("accountExpires", end.to_string().as_bytes()).unwrap();
        assert_eq!(last, Value::Time(SystemTime::UNIX_EPOCH + LAST));
        // What no calendar of four digits has, or lies before 1970, stays a number, too.
        for never in [0, i64::MAX, i64::MAX - 1, -1, 1, end + 1] {
            let text = never.to_string();
            assert_eq!(
                to_model("pwdLastSet", text.as_bytes()),
                Some(Value::Integer(never))
            );
        }
        assert_eq!(to_model("description", b"133444736005000000"), None);
    }
}
