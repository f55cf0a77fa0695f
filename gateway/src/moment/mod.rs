//! Moments of the host's monotonic clock, after which a call may not be begun any more.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::num::NonZeroU64;

/// What the clock shows, in milliseconds since the host was started: all processes of the host have
/// the same, nobody sets it, and it goes on while the host is suspended. Never 0.
pub(crate) fn now_ms() -> u64 {
    platform::running_ms().max(1)
}

/// The last moment at which a call may be begun; `None`: it may be begun at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotAfter(Option<NonZeroU64>);

impl NotAfter {
    /// This moment of the clock, in milliseconds.
    pub const fn new(moment: Option<NonZeroU64>) -> Self {
        Self(moment)
    }

    /// As it stands in a message; 0: at any time.
    pub const fn from_ms(moment: u64) -> Self {
        Self(NonZeroU64::new(moment))
    }

    /// For a message.
    pub fn ms(self) -> u64 {
        self.0.map_or(0, NonZeroU64::get)
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.0.is_some_and(|moment| moment.get() < now_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_passes_and_no_moment_never_does() {
        assert!(NotAfter::from_ms(1).has_passed() || now_ms() == 1);
        assert!(!NotAfter::from_ms(now_ms() + 60_000).has_passed());
        assert!(!NotAfter::from_ms(0).has_passed());
        let before = now_ms();
        assert!(now_ms() >= before);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_is_the_clock_that_counts_the_host_s_sleep() {
        // The first number: seconds since the start of the host, its sleep included.
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let shown = now_ms() as f64 / 1_000.0;
        assert!((shown - seconds).abs() < 5.0, "{shown} and {seconds}");
    }
}
