//! The lanes of all connectors: changes of one lane go one after the other, all others at the same
//! time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use crate::connector::Lane;

/// A lane, with all that tells it from those of other connectors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// Of the connector of this name.
    Connector(String),
    /// Shared by the connectors of one type.
    Shared(&'static str, String),
}

impl Key {
    /// The lane of a connector of this type and name.
    pub(super) fn new(kind: &'static str, connector: &str, lane: Lane) -> Self {
        match lane {
            Lane::Connector => Self::Connector(connector.to_owned()),
            Lane::Shared(place) => Self::Shared(kind, place),
        }
    }
}

/// Whoever is in a lane holds its lock. A lane that nobody waits for or is in takes no memory for
/// long.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    locks: Mutex<Locks>,
}

type Lock = tokio::sync::Mutex<()>;

#[derive(Debug, Default)]
struct Locks {
    by_key: HashMap<Key, Weak<Lock>>,
    /// When there are as many, those that nobody holds are cleared away.
    full_at: usize,
}

/// Fewer lanes are never worth clearing away.
const FEW: usize = 64;

impl Lanes {
    /// Waits until nobody else is in any of `keys`, each caller in the order of arrival. To drop
    /// what comes back leaves them. All callers enter in the order of the set, so that no two wait
    /// for one another.
    pub(super) async fn enter(&self, keys: BTreeSet<Key>) -> Vec<OwnedMutexGuard<()>> {
        let mut entered = Vec::with_capacity(keys.len());
        for key in keys {
            let lock = self.lock(key);
            entered.push(lock.lock_owned().await);
        }
        entered
    }

    fn lock(&self, key: Key) -> Arc<Lock> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.by_key.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        if locks.by_key.len() >= locks.full_at.max(FEW) {
            locks.by_key.retain(|_, lock| lock.strong_count() > 0);
            locks.full_at = locks.by_key.len() * 2;
        }
        let lock = Arc::<Lock>::default();
        locks.by_key.insert(key, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn object(name: &str) -> Key {
        Key::new("directory", "any", Lane::Shared(name.to_owned()))
    }

    #[tokio::test]
    async fn only_a_lane_that_somebody_is_in_is_waited_for() {
        let lanes = Lanes::default();
        let ada = lanes.enter([object("ada")].into()).await;
        assert!(lanes.enter([object("eve")].into()).now_or_never().is_some());
        assert!(lanes.enter(BTreeSet::new()).now_or_never().is_some());
        // A rename is in both lanes, and waits for either.
        let both = || lanes.enter([object("ada"), object("eve")].into());
        assert!(both().now_or_never().is_none());
        drop(ada);
        assert!(both().now_or_never().is_some());
    }

    #[tokio::test]
    async fn lanes_are_shared_within_a_type_alone() {
        let lanes = Lanes::default();
        let shared = |kind, name| Key::new(kind, name, Lane::Shared("/".to_owned()));
        let own = |name| Key::new("unix", name, Lane::Connector);
        let _entered = lanes
            .enter([shared("unix", "one"), own("one")].into())
            .await;
        for (key, free) in [
            (shared("unix", "two"), false),
            (shared("directory", "one"), true),
            (own("two"), true),
            (own("one"), false),
        ] {
            let entered = lanes.enter([key.clone()].into()).now_or_never();
            assert_eq!(entered.is_some(), free, "{key:?}");
        }
    }

    #[tokio::test]
    async fn lanes_of_the_past_are_cleared_away() {
        let lanes = Lanes::default();
        let kept = lanes.enter([object("kept")].into()).await;
        for number in 0..10 * FEW {
            drop(lanes.enter([object(&number.to_string())].into()).await);
        }
        assert!(lanes.locks.lock().unwrap().by_key.len() <= FEW);
        assert!(
            lanes
                .enter([object("kept")].into())
                .now_or_never()
                .is_none()
        );
        drop(kept);
    }
}
