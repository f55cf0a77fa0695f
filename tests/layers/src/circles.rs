//! Circles in a small graph of names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Who uses whom.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// Nodes that all reach one another, with a shortest way around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// All that are in it.
    pub members: BTreeSet<String>,
    /// A shortest way around: the last uses the first.
    pub way: Vec<String>,
}

/// Every circle; those that share a node are one.
pub fn circles(uses: &Uses) -> Vec<Circle> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = uses
        .keys()
        .map(|node| (node, reachable(uses, node)))
        .collect();
    let mut found: Vec<Circle> = Vec::new();
    for (node, reaches) in &reached {
        let known = found.iter().any(|circle| circle.members.contains(*node));
        if known || !reaches.contains(*node) {
            continue;
        }
        let members: BTreeSet<String> = reaches
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(*node)))
            .map(|other| (*other).clone())
            .collect();
        let ways = members.iter().filter_map(|member| way_around(uses, member));
        if let Some(way) = ways.min_by_key(Vec::len) {
            found.push(Circle { members, way });
        }
    }
    found
}

fn reachable<'a>(uses: &'a Uses, from: &str) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = uses.get(from).into_iter().flatten().collect();
    while let Some(node) = next.pop() {
        if found.insert(node) {
            next.extend(uses.get(node).into_iter().flatten());
        }
    }
    found
}

fn way_around(uses: &Uses, start: &String) -> Option<Vec<String>> {
    let mut queue = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        let last = way.last()?;
        for next in uses.get(*last).into_iter().flatten() {
            if next == start {
                return Some(way.into_iter().cloned().collect());
            }
            if seen.insert(next) {
                let mut longer = way.clone();
                longer.push(next);
                queue.push_back(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(pairs: &[(&str, &str)]) -> Uses {
        let mut uses = Uses::new();
        for (from, to) in pairs {
            uses.entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        uses
    }

    #[test]
    fn the_shortest_way_around_is_told() {
        let found = circles(&uses(&[
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("c", "b"),
            ("c", "d"),
        ]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].way, ["b", "c"]);
        assert_eq!(found[0].members.len(), 3);
    }

    #[test]
    fn no_circle_without_a_way_back() {
        assert!(circles(&uses(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    }
}
