//! Which database a repository is in, and whether that is the one it was in before: a standby that
//! is promoted begins a new timeline of the same cluster.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A cluster of databases, and how often a standby of it was promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The cluster: all its standbys have the same.
    pub system: u64,
    /// Raised by each promotion, and by each recovery to an earlier moment.
    pub timeline: u32,
}

impl Lineage {
    /// Whether what was known of `before` may go on in this one.
    pub const fn follows(self, before: Self) -> bool {
        self.system == before.system && self.timeline >= before.timeline
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system {}, timeline {}", self.system, self.timeline)
    }
}

/// What the connections of one program have met. Once one of them has met a newer timeline, no
/// connection to an older one is used any more.
#[derive(Debug, Default)]
pub(super) struct Met(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    latest: Option<Lineage>,
    /// A connection was there; without, `latest` is what another start knew.
    was_there: bool,
}

impl Met {
    /// What a former start has met: looked for among the hosts, and not insisted on.
    pub(super) fn expect(&self, known: Lineage) {
        let mut state = self.state();
        if !state.was_there {
            state.latest = Some(known);
        }
    }

    /// The newest one that a connection was to; `None`: there was none yet.
    pub(super) fn latest(&self) -> Option<Lineage> {
        let state = *self.state();
        state.latest.filter(|_| state.was_there)
    }

    /// Whether a connection to this one may be used on.
    pub(super) fn is_current(&self, lineage: Lineage) -> bool {
        self.latest().is_none_or(|latest| latest == lineage)
    }

    /// A connection is to `found`. `Err`: to use it would be to go back from this one.
    pub(super) fn meet(&self, found: Lineage) -> Result<(), Lineage> {
        let mut state = self.state();
        match state.latest {
            Some(latest) if !found.follows(latest) => Err(latest),
            _ => {
                *state = State {
                    latest: Some(found),
                    was_there: true,
                };
                Ok(())
            }
        }
    }

    /// As [`Self::meet`], where no host has a better one: what a former start has met is given up,
    /// and told by whoever compares it.
    pub(super) fn settle_for(&self, found: Lineage) -> Result<(), Lineage> {
        {
            let mut state = self.state();
            if !state.was_there {
                state.latest = None;
            }
        }
        self.meet(found)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole at every moment, whoever panicked meanwhile.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a repository is does not depend on what was met there.
impl PartialEq for Met {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Met {}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(system: u64, timeline: u32) -> Lineage {
        Lineage { system, timeline }
    }

    #[test]
    fn a_promotion_is_followed_and_nothing_leads_back_from_it() {
        let met = Met::default();
        assert_eq!(met.latest(), None);
        met.meet(at(7, 1)).unwrap();
        met.meet(at(7, 2)).unwrap();
        assert!(!met.is_current(at(7, 1)) && met.is_current(at(7, 2)));
        for other in [at(7, 1), at(8, 2), at(8, 9)] {
            assert_eq!(met.meet(other), Err(at(7, 2)));
            assert_eq!(met.settle_for(other), Err(at(7, 2)));
            // A start of long ago has nothing to say any more.
            met.expect(other);
        }
        assert_eq!(met.latest(), Some(at(7, 2)));
    }

    #[test]
    fn what_a_former_start_knew_is_looked_for_first_and_then_given_up() {
        let met = Met::default();
        met.expect(at(7, 2));
        assert_eq!(met.latest(), None);
        assert_eq!(met.meet(at(7, 1)), Err(at(7, 2)));
        met.settle_for(at(7, 1)).unwrap();
        assert_eq!(met.latest(), Some(at(7, 1)));
        let met = Met::default();
        met.expect(at(7, 2));
        met.meet(at(7, 3)).unwrap();
        assert_eq!(met.latest(), Some(at(7, 3)));
    }
}
