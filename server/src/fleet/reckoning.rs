//! What is known of a gateway's clock, and until when it may begin the calls that it is sent.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// For so long after a reading calls may be begun, in milliseconds of the gateway's clock.
const WINDOW_MS: u64 = 7_000;
/// A reading that is older is not used: what is left of its time would be too short.
const FRESH: Duration = Duration::from_secs(4);
/// From this age on a newer one is fetched beside the calls that go on.
const RENEWED: Duration = Duration::from_secs(2);
/// Readings that wait for a renewal, at most.
const MOST: usize = 8;
/// What the clock of a gateway showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    /// When that had come here.
    came: Instant,
    clock_ms: NonZeroU64,
}

/// What is known of a gateway's clock in one session. Pure: the time is passed in.
#[derive(Debug, Default)]
pub struct Reckoning {
    /// Oldest first; each came after the last acknowledged renewal was sent.
    waiting: VecDeque<Reading>,
    /// The newest that came before it.
    counts: Option<Reading>,
    /// The gateway is of a version that does not tell.
    untold: bool,
}

impl Reckoning {
    /// Whether the gateway is of a version that does not tell what its clock shows.
    pub const fn is_untold(&self) -> bool {
        self.untold
    }

    /// A reply had come by `came`; it says `clock_ms`, or 0.
    pub fn came(&mut self, came: Instant, clock_ms: u64) {
        let Some(clock_ms) = NonZeroU64::new(clock_ms) else {
            self.untold = true;
            return;
        };
        if self.waiting.len() >= MOST {
            self.waiting.pop_back();
        }
        self.waiting.push_back(Reading { came, clock_ms });
    }

    /// The last acknowledged renewal was sent after `sent`.
    pub fn renewed(&mut self, sent: Instant) {
        while let Some(reading) = self.waiting.front().filter(|it| it.came < sent) {
            self.counts = Some(*reading);
            self.waiting.pop_front();
        }
    }

    /// The moment that calls carry, where the reading that it rests on is young enough.
    pub fn not_after(&self, now: Instant) -> Option<NonZeroU64> {
        let counts = self.counts.filter(|counts| age(counts, now) < FRESH)?;
        Some(counts.clock_ms.saturating_add(WINDOW_MS))
    }

    /// Whether a newer reading is to be fetched: none is under way that will do.
    pub fn is_due(&self, now: Instant) -> bool {
        let newest = self.waiting.back().or(self.counts.as_ref());
        newest.is_none_or(|newest| age(newest, now) >= RENEWED)
    }
}

fn age(reading: &Reading, now: Instant) -> Duration {
    now.saturating_duration_since(reading.came)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_reading_counts_once_a_renewal_that_was_sent_after_it_is_acknowledged() {
        let begin = Instant::now();
        let mut clock = Reckoning::default();
        let shown = |clock: &Reckoning, at| clock.not_after(begin + ms(at)).map(NonZeroU64::get);
        clock.came(begin + ms(100), 50_000);
        assert_eq!(shown(&clock, 150), None);
        // Sent before the reply had come, or in that very moment.
        clock.renewed(begin + ms(90));
        clock.renewed(begin + ms(100));
        assert_eq!(shown(&clock, 200), None);
        clock.renewed(begin + ms(101));
        assert_eq!(shown(&clock, 200), Some(57_000));
        // One that came after the last renewal was sent does not count yet.
        clock.came(begin + ms(2_200), 52_100);
        assert_eq!(shown(&clock, 2_300), Some(57_000));
        clock.renewed(begin + ms(2_200));
        assert_eq!(shown(&clock, 2_300), Some(57_000));
        clock.renewed(begin + ms(2_300));
        assert_eq!(shown(&clock, 2_300), Some(59_100));
    }

    #[test]
    fn of_several_readings_before_a_renewal_the_newest_counts_and_none_is_lost_to_a_later_one() {
        let begin = Instant::now();
        let mut clock = Reckoning::default();
        for at in [100, 200, 900] {
            clock.came(begin + ms(at), 1_000 + at);
        }
        clock.renewed(begin + ms(500));
        assert_eq!(
            clock.not_after(begin + ms(950)).map(NonZeroU64::get),
            Some(8_200)
        );
    }

    #[test]
    fn an_old_reading_is_not_used_and_a_newer_one_is_fetched_before_that() {
        let begin = Instant::now();
        let mut clock = Reckoning::default();
        assert!(clock.is_due(begin));
        clock.came(begin, 1);
        clock.renewed(begin + ms(1));
        for (at, fresh, due) in [
            (0, true, false),
            (1_999, true, false),
            (2_000, true, true),
            (3_999, true, true),
            (4_000, false, true),
            (60_000, false, true),
        ] {
            let now = begin + ms(at);
            let told = (clock.not_after(now).is_some(), clock.is_due(now));
            assert_eq!(told, (fresh, due), "{at} ms");
        }
        // One is on its way to count.
        clock.came(begin + ms(2_100), 2_101);
        assert!(!clock.is_due(begin + ms(2_200)));
    }

    #[test]
    fn a_server_that_slept_takes_no_reading_for_a_new_one() {
        // It slept between the reply and the renewal: whatever its own clock says of that, the
        // moment is reckoned from the reading.
        let begin = Instant::now();
        let mut clock = Reckoning::default();
        clock.came(begin, 5_000);
        clock.renewed(begin + ms(1));
        assert_eq!(
            clock.not_after(begin + ms(2)).map(NonZeroU64::get),
            Some(12_000)
        );
        // Readings that nobody confirms do not pile up.
        for at in 0..100 {
            clock.came(begin + ms(10 + at), 5_000 + at);
        }
        assert_eq!(clock.waiting.len(), MOST);
    }

    #[test]
    fn a_gateway_of_before_tells_none() {
        let mut clock = Reckoning::default();
        clock.came(Instant::now(), 0);
        assert!(clock.untold && clock.waiting.is_empty());
    }
}
