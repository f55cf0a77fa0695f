//! Refused requests are written one by one as long as they are few; who floods is counted.

use std::collections::HashMap;
use std::time::Duration;

use portcullis_common::rotation::UnixMillis;
use portcullis_host::limit::{Allowance, Limit};

use super::Subject;

/// Refusals of one subject that are written one by one in a row; then one each ten minutes: 144
/// entries a day at most for who never stops.
const WRITTEN: Limit = Limit {
    burst: 64,
    refill: 1,
    every: Duration::from_mins(10),
};
/// Subjects told apart; those beyond share one allowance.
const MAX_SUBJECTS: usize = 256;

/// The allowance of each subject whose requests were refused lately, by the time since 1970.
#[derive(Debug, Default)]
pub(super) struct Floods {
    subjects: HashMap<Subject, Allowance<Duration>>,
    others: Allowance<Duration>,
}

impl Floods {
    /// Whether a refusal of `subject` is to be written; if so, how many were not since the last
    /// one.
    pub(super) fn admit(&mut self, subject: &Subject, now: UnixMillis) -> Option<u64> {
        let now = Duration::from_millis(now.0);
        self.forget(now);
        let room = self.subjects.len() < MAX_SUBJECTS || self.subjects.contains_key(subject);
        let allowance = if room {
            self.subjects.entry(subject.clone()).or_default()
        } else {
            &mut self.others
        };
        allowance.admit(&WRITTEN, now)
    }

    /// Whoever was silenced and has an allowance again, and how many of their refusals were not
    /// written.
    pub(super) fn due(&mut self, now: UnixMillis) -> Vec<(Subject, u64)> {
        let now = Duration::from_millis(now.0);
        let others = Subject::nobody();
        let subjects = self.subjects.iter_mut();
        subjects
            .chain([(&others, &mut self.others)])
            .filter_map(|(subject, allowance)| {
                let silent = allowance.due(&WRITTEN, now)?;
                Some((subject.clone(), silent))
            })
            .collect()
    }

    fn forget(&mut self, now: Duration) {
        if self.subjects.len() >= MAX_SUBJECTS {
            self.subjects
                .retain(|_, allowance| !allowance.is_full(&WRITTEN, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: u64 = WRITTEN.burst;
    const REFILL_MS: u64 = 600_000;

    #[test]
    fn a_flood_is_counted_and_others_are_still_heard() {
        let mut floods = Floods::default();
        let (mallory, alice) = (Subject::user(1, None), Subject::user(2, None));
        let start = UnixMillis(1_000_000_000);
        let written = (0..10_000)
            .filter(|_| floods.admit(&mallory, start).is_some())
            .count();
        assert_eq!(written as u64, BURST);
        assert_eq!(floods.admit(&alice, start), Some(0));
        assert_eq!(floods.due(start), []);
        let later = start.plus(REFILL_MS);
        assert_eq!(floods.due(later), [(mallory.clone(), 10_000 - BURST)]);
        assert_eq!(floods.admit(&mallory, later), None);
        assert_eq!(floods.admit(&mallory, later.plus(REFILL_MS)), Some(1));
    }

    #[test]
    fn many_subjects_are_bounded_too() {
        let mut floods = Floods::default();
        let now = UnixMillis(1_000_000_000);
        let written = (0..100_000)
            .filter(|uid| floods.admit(&Subject::user(*uid, None), now).is_some())
            .count();
        assert_eq!(written, MAX_SUBJECTS + BURST as usize);
        assert!(floods.subjects.len() <= MAX_SUBJECTS);
    }
}
