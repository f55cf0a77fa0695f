//! How busy a link is, and so what it keeps ready.

use std::time::Duration;

/// How long traffic is counted before it is judged. A silence of this length makes a link idle.
/// Keep-alive pings come further apart.
const WINDOW: Duration = Duration::from_secs(5);
/// A link is busy from this many moments with nothing left to do in a window on: more than a new
/// link has before its first call, and more than pings make.
const MANY: u32 = 32;
/// A link is busy from this many bytes in a window on, both directions together.
const MUCH: u64 = 64 * 1024;

/// What to do with a moment in which there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// More traffic is likely soon: make what it will need now.
    Prepare,
    /// Little traffic is likely: give back what can be made again.
    Rest,
}

/// Decides at each moment in which a link has nothing to do. There is no timer: a link that falls
/// silent keeps what it has until the next thing that happens on it, which is a keep-alive ping at
/// the latest.
#[derive(Debug, Default)]
pub struct Activity {
    /// When the present window began.
    began: Duration,
    /// The last moment.
    last: Duration,
    moments: u32,
    bytes: u64,
    busy: bool,
}

impl Activity {
    /// There is nothing to do at `now`, the time since any fixed moment, and `moved` bytes came or
    /// went on the wire since the moment before.
    ///
    /// A busy link, too, is told to rest at the end of each window, so that it does not keep for
    /// ever what one large message needed. What it still needs it makes again.
    pub fn nothing_to_do(&mut self, now: Duration, moved: u64) -> Moment {
        let silence = now.saturating_sub(self.last);
        self.last = now;
        let ended = now.saturating_sub(self.began) >= WINDOW;
        if ended {
            self.busy = silence < WINDOW && self.is_much();
            self.began = now;
            (self.moments, self.bytes) = (0, 0);
        }
        self.moments += u32::from(moved > 0);
        self.bytes = self.bytes.saturating_add(moved);
        self.busy |= self.is_much();
        if self.busy && !ended {
            Moment::Prepare
        } else {
            Moment::Rest
        }
    }

    const fn is_much(&self) -> bool {
        self.moments >= MANY || self.bytes >= MUCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u64 = 72;
    const CALL: u64 = 400;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Calls one after another, 10 ms each; gives the last moment's answer.
    fn calls(activity: &mut Activity, from: u64, count: u64) -> Moment {
        (0..count).fold(Moment::Rest, |_, call| {
            activity.nothing_to_do(at(from + 10 * call), CALL)
        })
    }

    #[test]
    fn a_link_that_was_never_busy_rests_whatever_pings_come() {
        let mut activity = Activity::default();
        for second in 0..1_000 {
            // Both sides' pings, each at its own time.
            for ping in [20_000 * second, 20_000 * second + 3_000] {
                assert_eq!(activity.nothing_to_do(at(ping), PING), Moment::Rest);
            }
        }
    }

    #[test]
    fn calls_or_bytes_make_it_busy() {
        let mut activity = Activity::default();
        assert_eq!(calls(&mut activity, 60_000, 31), Moment::Rest);
        assert_eq!(calls(&mut activity, 60_400, 1), Moment::Prepare);
        let mut activity = Activity::default();
        assert_eq!(activity.nothing_to_do(at(60_000), 65_536), Moment::Rest);
        assert_eq!(activity.nothing_to_do(at(60_001), 1), Moment::Prepare);
    }

    #[test]
    fn the_first_ping_after_a_burst_finds_it_idle() {
        for silence in [5_000, 20_000, 10_000_000] {
            let mut activity = Activity::default();
            assert_eq!(calls(&mut activity, 60_000, 400), Moment::Prepare);
            let ping = 64_000 + silence;
            assert_eq!(activity.nothing_to_do(at(ping), PING), Moment::Rest);
            assert_eq!(activity.nothing_to_do(at(ping + 1), PING), Moment::Rest);
        }
    }

    #[test]
    fn a_busy_link_stays_ready_but_for_one_moment_of_each_window() {
        let mut activity = Activity::default();
        calls(&mut activity, 60_000, 100);
        let rests = (0..10_000)
            .filter(|call| activity.nothing_to_do(at(61_000 + 10 * call), CALL) == Moment::Rest)
            .count();
        assert_eq!(rests, 20);
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let mut activity = Activity::default();
        calls(&mut activity, 60_000, 100);
        assert_eq!(
            activity.nothing_to_do(Duration::ZERO, CALL),
            Moment::Prepare
        );
        assert_eq!(activity.nothing_to_do(at(90_000), PING), Moment::Rest);
    }
}
