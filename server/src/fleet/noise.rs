//! What the log says of a gateway that is not there: each cause once an hour, however often it is
//! tried.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long a cause that was told is not told again.
const REST: Duration = Duration::from_hours(1);
/// Causes that are told apart: a gateway that is away has one or two.
const CAUSES: usize = 4;

/// The failures of one gateway since it last had a link.
#[derive(Debug, Default)]
pub(super) struct Noise {
    failures: u64,
    told: VecDeque<(String, Instant)>,
}

/// How a failure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is news.
    First,
    /// It goes on: so many attempts have failed by now.
    Still(u64),
    /// It was told within the last hour.
    Before,
}

impl Noise {
    pub(super) fn failure(&mut self, cause: &str, now: Instant) -> Heard {
        self.failures = self.failures.saturating_add(1);
        let told = self.told.iter_mut().find(|(told, _)| told == cause);
        if let Some((_, at)) = told {
            if now.duration_since(*at) < REST {
                return Heard::Before;
            }
            *at = now;
            return Heard::Still(self.failures);
        }
        if self.told.len() == CAUSES {
            self.told.pop_front();
        }
        self.told.push_back((cause.to_owned(), now));
        Heard::First
    }

    /// There is a link: how many attempts failed before.
    pub(super) fn ended(&mut self) -> u64 {
        self.told.clear();
        std::mem::take(&mut self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_an_hour_and_anew_after_a_link() {
        let mut noise = Noise::default();
        let begin = Instant::now();
        let at = |minutes: u64| begin + Duration::from_mins(minutes);
        assert_eq!(noise.failure("refused", at(0)), Heard::First);
        assert_eq!(noise.failure("refused", at(1)), Heard::Before);
        assert_eq!(noise.failure("no route", at(2)), Heard::First);
        assert_eq!(noise.failure("refused", at(3)), Heard::Before);
        assert_eq!(noise.failure("refused", at(60)), Heard::Still(5));
        assert_eq!(noise.failure("refused", at(61)), Heard::Before);
        assert_eq!(noise.ended(), 6);
        assert_eq!(noise.failure("refused", at(62)), Heard::First);
        assert_eq!(noise.ended(), 1);
        assert_eq!(noise.ended(), 0);
    }
}
