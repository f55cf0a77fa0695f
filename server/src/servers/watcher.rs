//! Which other servers have stopped. Pure: the time is passed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::repository::{Beat, InstanceId};

/// An instance whose beat has stood for so long is ended.
pub const ENDED_AFTER: Duration = Duration::from_secs(10);
/// Between two looks that are further apart than this nobody is known to have been silent: the
/// database may have been away for all, and whoever finds it first would end the others.
const LOOKS_APART: Duration = Duration::from_secs(5);

/// What one server has seen of the beats of others, by its own clock. Beats are random, so one that
/// is seen twice has stood all the time between; how long counts only where it was looked often.
#[derive(Debug, Default)]
pub struct Watcher {
    seen: HashMap<InstanceId, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    beat: Beat,
    /// A moment after it was read first.
    since: Instant,
    /// A moment before it was read last.
    until: Instant,
    /// It was another one before.
    has_changed: bool,
}

impl Watcher {
    /// These are the beats of the others, and no more, by a question that was asked after `asked`
    /// and answered before `answered`. Gives those that have stood for [`ENDED_AFTER`]: their
    /// instances are to be ended, provided that the beat is still the same.
    pub fn saw(
        &mut self,
        asked: Instant,
        answered: Instant,
        beats: impl IntoIterator<Item = (InstanceId, Beat)>,
    ) -> Vec<(InstanceId, Beat)> {
        let before = std::mem::take(&mut self.seen);
        for (instance, beat) in beats {
            let fresh = |has_changed| Seen {
                beat,
                since: answered,
                until: answered,
                has_changed,
            };
            let seen = match before.get(&instance) {
                Some(seen) if seen.beat == beat => {
                    let looked = asked.saturating_duration_since(seen.until) <= LOOKS_APART;
                    Seen {
                        since: if looked { seen.since } else { answered },
                        until: if looked { asked } else { answered },
                        ..*seen
                    }
                }
                Some(_) => fresh(true),
                None => fresh(false),
            };
            self.seen.insert(instance, seen);
        }
        let stopped = |seen: &Seen| seen.stood() >= ENDED_AFTER;
        let stopped = self.seen.iter().filter(|(_, seen)| stopped(seen));
        stopped.map(|(id, seen)| (*id, seen.beat)).collect()
    }

    /// Whether this instance was seen to change its beat: it is at work.
    pub fn beats(&self, instance: InstanceId) -> bool {
        self.seen
            .get(&instance)
            .is_some_and(|seen| seen.has_changed)
    }

    /// For how long the beat of this instance is known to have stood; `None`: it was not seen.
    pub fn age(&self, instance: InstanceId) -> Option<Duration> {
        self.seen.get(&instance).map(Seen::stood)
    }
}

impl Seen {
    fn stood(&self) -> Duration {
        self.until.saturating_duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock(Instant);

    impl Clock {
        /// Looks at this moment, in which a look takes a second.
        fn look(
            &self,
            watcher: &mut Watcher,
            at: u64,
            beats: &[(InstanceId, Beat)],
        ) -> Vec<(InstanceId, Beat)> {
            let asked = self.0 + Duration::from_secs(at);
            watcher.saw(asked, asked + Duration::from_secs(1), beats.to_vec())
        }
    }

    #[test]
    fn a_beat_that_has_stood_for_ten_seconds_ends_its_instance_and_no_other() {
        let (clock, mut watcher) = (Clock(Instant::now()), Watcher::default());
        let (one, other) = (InstanceId::random(), InstanceId::random());
        let stands = Beat::random();
        for at in 0..11 {
            let ended = clock.look(&mut watcher, at, &[(one, stands), (other, Beat::random())]);
            assert_eq!(ended, [], "{at}");
            assert_eq!(watcher.beats(other), at > 0);
            assert!(!watcher.beats(one));
        }
        let ended = clock.look(&mut watcher, 11, &[(one, stands), (other, Beat::random())]);
        assert_eq!(ended, [(one, stands)]);
        // It is told again until its row is gone.
        let ended = clock.look(&mut watcher, 12, &[(one, stands)]);
        assert_eq!(ended, [(one, stands)]);
        assert_eq!(watcher.age(other), None);
    }

    #[test]
    fn the_time_in_which_nobody_looked_counts_against_no_instance() {
        let (clock, mut watcher) = (Clock(Instant::now()), Watcher::default());
        let one = InstanceId::random();
        let stands = Beat::random();
        assert_eq!(clock.look(&mut watcher, 0, &[(one, stands)]), []);
        // The database was away, or the watcher was stopped itself.
        for at in (60..=70).step_by(2) {
            assert_eq!(clock.look(&mut watcher, at, &[(one, stands)]), [], "{at}");
        }
        assert_eq!(
            clock.look(&mut watcher, 72, &[(one, stands)]),
            [(one, stands)]
        );
    }

    #[test]
    fn a_row_that_was_gone_meanwhile_is_seen_for_the_first_time() {
        let (clock, mut watcher) = (Clock(Instant::now()), Watcher::default());
        let (one, stands) = (InstanceId::random(), Beat::random());
        assert_eq!(clock.look(&mut watcher, 0, &[(one, stands)]), []);
        assert_eq!(clock.look(&mut watcher, 5, &[]), []);
        assert_eq!(clock.look(&mut watcher, 12, &[(one, stands)]), []);
    }
}
