//! The queued calls that wait no more: what tells a row that was put back, with its MAC and its
//! payload, while the server runs. What is put back while none runs shows in the sum over all rows.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The numbers of the calls that this process dispatched or ended, as ranges: calls are numbered
/// one after the other, so that a range lasts for thousands of them.
#[derive(Debug, Default)]
pub(in crate::repository) struct Spent {
    /// From the first to the last.
    ranges: Mutex<BTreeMap<i64, i64>>,
}

impl Spent {
    /// This call waits no more.
    pub(super) fn add(&self, number: i64) {
        let mut ranges = self.ranges();
        if holds(&ranges, number) {
            return;
        }
        let before = ranges.range(..number).next_back();
        let first = before.filter(|(_, last)| last.checked_add(1) == Some(number));
        let first = first.map_or(number, |(first, _)| *first);
        let after = number.checked_add(1).and_then(|next| ranges.remove(&next));
        ranges.insert(first, after.unwrap_or(number));
    }

    /// This call waits again.
    pub(super) fn remove(&self, number: i64) {
        let mut ranges = self.ranges();
        let around = ranges.range(..=number).next_back();
        let Some((first, last)) = around.map(|(first, last)| (*first, *last)) else {
            return;
        };
        if last < number {
            return;
        }
        ranges.remove(&first);
        if first < number {
            ranges.insert(first, number - 1);
        }
        if number < last {
            ranges.insert(number + 1, last);
        }
    }

    /// Whether this call waits no more.
    pub(super) fn contains(&self, number: i64) -> bool {
        holds(&self.ranges(), number)
    }

    fn ranges(&self) -> MutexGuard<'_, BTreeMap<i64, i64>> {
        // Whole at every moment, whoever panicked meanwhile.
        let ranges = self.ranges.lock();
        ranges.unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(ranges: &BTreeMap<i64, i64>, number: i64) -> bool {
    let around = ranges.range(..=number).next_back();
    around.is_some_and(|(_, last)| *last >= number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::RngExt as _;

    use super::*;

    #[test]
    fn ranges_hold_what_a_set_holds_and_grow_together() {
        let seed: u64 = rand::rng().random();
        println!("seed {seed}");
        let mut rng: rand::rngs::StdRng = rand::SeedableRng::seed_from_u64(seed);
        let (spent, mut set) = (Spent::default(), BTreeSet::new());
        for _ in 0..2_000 {
            let number = rng.random_range(1..60);
            if rng.random_ratio(2, 3) {
                spent.add(number);
                set.insert(number);
            } else {
                spent.remove(number);
                set.remove(&number);
            }
            let all = (0..62).filter(|number| spent.contains(*number));
            assert!(all.eq(set.iter().copied()), "{spent:?}");
        }
        for number in (0..62).rev() {
            spent.add(number);
        }
        assert_eq!(spent.ranges().len(), 1);
        for edge in [i64::MIN, i64::MAX] {
            spent.add(edge);
            assert!(spent.contains(edge));
            spent.remove(edge);
            assert!(!spent.contains(edge));
        }
    }
}
