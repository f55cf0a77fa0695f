//! The ageing of passwords and the expiry of accounts, as shadow(5) has them.
//!
//! Who logs in is judged by `pam_unix`, and so here: an account expires on its expiry day; a
//! password has to be changed where its day of last change is 0, or from the day after its maximum
//! age on; and once that is longer ago than the days of inactivity, nobody gets in any more. An
//! empty field, or one that is negative, asks for nothing; without a day of last change nothing
//! ages.

use super::lines::Shadow;

/// 31 December 9999, the last day that a time can be written for. Later ones mean `never`.
const LAST_DAY: i64 = 2_932_896;

/// What shadow says beside the password, in days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ageing {
    /// Day of the last change of the password, from 1970-01-01; 0: it has to be changed.
    pub(super) last_change: Option<i64>,
    /// Days before it may be changed again.
    pub(super) min: Option<i64>,
    /// Days after which it has to be changed.
    pub(super) max: Option<i64>,
    /// Days before that, on which the user is warned.
    pub(super) warn: Option<i64>,
    /// Days after that, on which it can still be changed at a login.
    pub(super) inactive: Option<i64>,
}

impl From<&Shadow<'_>> for Ageing {
    fn from(line: &Shadow<'_>) -> Self {
        let days = |days: i32| (days >= 0).then_some(i64::from(days));
        Self {
            last_change: days(line.last_change).filter(|day| *day <= LAST_DAY),
            min: days(line.min),
            max: days(line.max),
            warn: days(line.warn),
            inactive: days(line.inactive),
        }
    }
}

/// Day from 1970-01-01, from which on an account cannot log in. A negative one, as an overflow
/// leaves it, has come.
pub(super) fn expiry_day(line: &Shadow<'_>) -> Option<i64> {
    let day = i64::from(line.expires);
    (day != -1 && day <= LAST_DAY).then_some(day)
}

impl Ageing {
    /// Whether the password has to be changed before anything else can be done.
    pub(super) fn must_change(&self, today: i64) -> bool {
        self.last_change == Some(0) || self.days_past(today).is_some()
    }

    /// Whether the password ran out so long ago that it cannot be changed at a login any more.
    pub(super) fn is_inactive(&self, today: i64) -> bool {
        let past = self.days_past(today).zip(self.inactive);
        self.last_change != Some(0) && past.is_some_and(|(past, inactive)| past > inactive)
    }

    /// Days since the last one of the password's maximum age; at least 1.
    fn days_past(&self, today: i64) -> Option<i64> {
        let age = today.checked_sub(self.last_change?)?;
        Some(age - self.max?).filter(|past| age >= 0 && *past > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::shadow;
    use super::*;

    /// A day of 2024.
    const TODAY: i64 = 20_000;

    /// Must be changed; inactive; account expired.
    fn seen(days: &str) -> (bool, bool, bool) {
        let line = format!("a:*:{days}");
        let line = shadow(line.as_bytes()).unwrap();
        let ageing = Ageing::from(&line);
        (
            ageing.must_change(TODAY),
            ageing.is_inactive(TODAY),
            expiry_day(&line).is_some_and(|day| day <= TODAY),
        )
    }

    #[test]
    fn ageing_is_that_of_shadow() {
        for (days, expected) in [
            // last change : min : max : warn : inactive : expiry :
            ("19000:0:99999:7:::", (false, false, false)),
            ("15000:0:90:7:14::", (true, true, false)),
            ("15000:0:90:7:::", (true, false, false)),
            // The last day of its age, the day after, the last of its grace, and the day after.
            ("19910:0:90:7:14::", (false, false, false)),
            ("19909:0:90:7:14::", (true, false, false)),
            ("19896:0:90:7:14::", (true, false, false)),
            ("19895:0:90:7:14::", (true, true, false)),
            // No grace at all.
            ("19910:0:90:7:0::", (false, false, false)),
            ("19909:0:90:7:0::", (true, true, false)),
            // Has to be changed, however long it may stay unchanged.
            ("0:0:99999:7:::", (true, false, false)),
            ("0:0:90:7:14::", (true, false, false)),
            // Without a day of last change nothing ages.
            (":0:90:7:14::", (false, false, false)),
            ("4294967295:0:90:7:14::", (false, false, false)),
            // Changed tomorrow, as a wrong clock leaves it.
            ("20001:0:0:7:0::", (false, false, false)),
            ("20000:0:0:7:0::", (false, false, false)),
            ("19999:0:0:7:0::", (true, true, false)),
            ("15000:0:4294967295:7:14::", (false, false, false)),
            ("15000:0::7:14::", (false, false, false)),
            ("15000:0:90:7:4294967295::", (true, false, false)),
            // The account's own day.
            ("19000:0:99999:7::20000:", (false, false, true)),
            ("19000:0:99999:7::20001:", (false, false, false)),
            ("19000:0:99999:7::0:", (false, false, true)),
            ("19000:0:99999:7::4294967295:", (false, false, false)),
            ("19000:0:99999:7::3000000000:", (false, false, true)),
            ("19000:0:99999:7::2932897:", (false, false, false)),
            ("15000:0:2147483647:7:2147483647::", (false, false, false)),
            ("19000:0:90", (true, false, false)),
        ] {
            assert_eq!(seen(days), expected, "{days}");
        }
    }
}
