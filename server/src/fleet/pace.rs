//! When the links of a fleet are asked to change their key: evenly at a rate, each moment left to
//! chance within its slot.

use std::time::Duration;

use portcullis_host::backoff::jittered;
use tokio::time::Instant;

/// Gateways asked in a minute where nobody says otherwise: a fleet of 10,000 reconnects within 100
/// s.
pub const DEFAULT_PER_MINUTE: u32 = 6_000;

const MINUTE: Duration = Duration::from_secs(60);

/// How fast a push goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many gateways a minute; at least 1.
    PerMinute(u32),
    /// As fast as the gateways answer.
    FullSpeed,
}

impl Pace {
    /// From one gateway to the next.
    pub(super) fn slot(self) -> Duration {
        match self {
            Self::FullSpeed => Duration::ZERO,
            Self::PerMinute(gateways) => MINUTE / gateways.max(1),
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::PerMinute(DEFAULT_PER_MINUTE)
    }
}

/// The moments at which a push goes on to the next gateway.
#[derive(Debug)]
pub(super) struct Schedule {
    slot: Option<(Instant, Duration)>,
    next: Instant,
}

impl Schedule {
    pub(super) fn new(pace: Pace, now: Instant) -> Self {
        let slot = match pace {
            Pace::FullSpeed => None,
            Pace::PerMinute(number) => Some((now, MINUTE / number.max(1))),
        };
        let mut schedule = Self { slot, next: now };
        schedule.draw();
        schedule
    }

    /// When the next gateway is due.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// A gateway was asked `now`: the next one has a slot of its own. Slots that passed unused,
    /// because answers were awaited, are not made up for: the rate is never exceeded.
    pub(super) fn advance(&mut self, now: Instant) {
        if let Some((begin, length)) = &mut self.slot {
            *begin += *length;
            if *begin + *length < now {
                *begin = now;
            }
        }
        self.draw();
    }

    fn draw(&mut self) {
        if let Some((begin, length)) = self.slot {
            self.next = begin + jittered(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(pace: Pace, count: u32, now: Instant) -> Vec<Duration> {
        let mut schedule = Schedule::new(pace, now);
        (0..count)
            .map(|_| {
                let due = schedule.next();
                schedule.advance(due);
                due - now
            })
            .collect()
    }

    #[test]
    fn every_gateway_has_a_slot_of_its_own_and_chance_within_it() {
        let now = Instant::now();
        let slot = Duration::from_millis(10);
        let due = moments(Pace::default(), 1_000, now);
        for (number, due) in (0_u32..).zip(&due) {
            assert!(
                *due >= slot * number && *due <= slot * (number + 1),
                "{number}: {due:?}"
            );
        }
        let offsets = (0_u32..)
            .zip(&due)
            .map(|(number, due)| *due - slot * number);
        let (low, high): (Vec<_>, Vec<_>) = offsets.partition(|offset| *offset < slot / 2);
        assert!(
            low.len() > 300 && high.len() > 300,
            "{} and {}",
            low.len(),
            high.len()
        );
    }

    #[test]
    fn time_lost_is_not_made_up_for() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Pace::PerMinute(60), now);
        let late = now + Duration::from_secs(30);
        schedule.advance(late);
        let within_a_second = (0..10)
            .take_while(|_| {
                let due = schedule.next();
                schedule.advance(due);
                due < late + Duration::from_secs(1)
            })
            .count();
        assert!(within_a_second <= 1, "{within_a_second}");
    }

    #[test]
    fn full_speed_waits_for_nothing() {
        let now = Instant::now();
        assert_eq!(moments(Pace::FullSpeed, 10, now), [Duration::ZERO; 10]);
    }
}
