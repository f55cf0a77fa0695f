//! Refused requests are written one by one as long as they are few; who floods is counted.

use std::collections::HashMap;

use portcullis_common::rotation::UnixMillis;

use super::Subject;

/// Refusals of one subject that are written one by one in a row.
const BURST: u64 = 64;
/// A further one each ten minutes: 144 entries a day at most for who never stops.
const REFILL_MS: u64 = 600_000;
/// Subjects told apart; those beyond share one allowance.
const MAX_SUBJECTS: usize = 256;

/// The allowance of each subject whose requests were refused lately.
#[derive(Debug, Default)]
pub(super) struct Floods {
    subjects: HashMap<Subject, Allowance>,
    others: Allowance,
}

#[derive(Debug, Default)]
struct Allowance {
    spent: u64,
    since: u64,
    /// Refused since the last one that was written.
    silent: u64,
}

impl Floods {
    /// Whether a refusal of `subject` is to be written; if so, how many were not since the last one.
    pub(super) fn admit(&mut self, subject: &Subject, now: UnixMillis) -> Option<u64> {
        self.forget(now);
        let room = self.subjects.len() < MAX_SUBJECTS || self.subjects.contains_key(subject);
        let allowance = if room {
            self.subjects.entry(subject.clone()).or_default()
        } else {
            &mut self.others
        };
        allowance.refill(now);
        if allowance.spent >= BURST {
            allowance.silent += 1;
            return None;
        }
        allowance.spent += 1;
        Some(std::mem::take(&mut allowance.silent))
    }

    /// Whoever was silenced and has an allowance again, and how many of their refusals were not written.
    pub(super) fn due(&mut self, now: UnixMillis) -> Vec<(Subject, u64)> {
        let others = Subject::nobody();
        let subjects = self.subjects.iter_mut();
        let mut due = Vec::new();
        for (subject, allowance) in subjects.chain([(&others, &mut self.others)]) {
            allowance.refill(now);
            if allowance.silent > 0 && allowance.spent < BURST {
                allowance.spent += 1;
                due.push((subject.clone(), std::mem::take(&mut allowance.silent)));
            }
        }
        due
    }

    fn forget(&mut self, now: UnixMillis) {
        if self.subjects.len() >= MAX_SUBJECTS {
            self.subjects.retain(|_, allowance| {
                allowance.refill(now);
                allowance.spent > 0 || allowance.silent > 0
            });
        }
    }
}

impl Allowance {
    fn refill(&mut self, now: UnixMillis) {
        let refilled = now.0.saturating_sub(self.since) / REFILL_MS;
        if self.spent == 0 {
            self.since = now.0;
        } else if refilled > 0 {
            self.spent = self.spent.saturating_sub(refilled);
            self.since += refilled * REFILL_MS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
