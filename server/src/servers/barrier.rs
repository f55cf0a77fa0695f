//! When a withdrawal is done: every server has seen it, or is gone. Pure: who stands is passed in.
//!
//! ```text
//!   commit, version 8 ── A: seen 8 ─┐
//!                     ── B: seen 7 ─┼─ waits for B ── B: seen 8, or its row is gone ── done
//!                     ── C: gone  ──┘
//! ```
//!
//! A server writes into its row which version it has seen: nothing that it let through under an
//! earlier one is unsent. One whose beat stands is ended by whoever sees that; one that beats is
//! waited for, however long it takes.

use crate::repository::InstanceId;

/// What one server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its instance.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// The authority version that it has seen.
    pub seen: u64,
}

/// A withdrawal that waits.
#[derive(Clone, Copy, Debug)]
pub struct Barrier {
    version: u64,
}

impl Barrier {
    /// Of what was withdrawn at this version or before.
    pub const fn new(version: u64) -> Self {
        Self { version }
    }

    /// Those of the servers that stand which have not seen it, by name: none, and it is done. A
    /// server that comes meanwhile has read what stands at that time.
    pub fn waits_for<'a>(&self, standing: &'a [Standing]) -> Vec<&'a Standing> {
        let late = standing.iter().filter(|one| one.seen < self.version);
        let mut late: Vec<_> = late.collect();
        late.sort_by(|one, other| one.name.cmp(&other.name));
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, seen: u64) -> Standing {
        Standing {
            instance: InstanceId::random(),
            name: name.to_owned(),
            seen,
        }
    }

    #[test]
    fn a_withdrawal_waits_for_all_that_stand_and_have_not_seen_it_and_for_nobody_else() {
        let barrier = Barrier::new(8);
        let names = |standing: &[Standing]| -> Vec<String> {
            let late = barrier.waits_for(standing).into_iter();
            late.map(|one| one.name.clone()).collect()
        };
        let (a, b, c) = (server("a", 8), server("b", 7), server("c", 0));
        assert_eq!(names(&[c.clone(), a.clone(), b.clone()]), ["b", "c"]);
        // One is gone, and the other has seen what came later.
        let b = Standing { seen: 9, ..b };
        assert_eq!(names(&[a, b]), [""; 0]);
        // One that comes has to say what it has seen as well.
        assert_eq!(names(&[c]), ["c"]);
        assert_eq!(names(&[]), [""; 0]);
    }
}
