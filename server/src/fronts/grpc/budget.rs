//! Bounds how much of what users send the server holds at once: what one of them leaves half sent
//! on many streams takes the memory of nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

/// Bytes of requests of one user that are held at once: 32 of the largest.
pub(super) const MAX_OF_USER: usize = 32 << 20;

/// Who holds how much.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<Mutex<HashMap<Option<u32>, usize>>>);

/// What a request holds; given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Budget,
    uid: Option<u32>,
    bytes: usize,
}

impl Budget {
    /// A request of this user, which holds nothing yet.
    pub(super) fn open(&self, uid: Option<u32>) -> Held {
        Held {
            budget: self.clone(),
            uid,
            bytes: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<u32>, usize>> {
        // Whole at every moment, whoever panicked meanwhile.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn held_by(&self, uid: Option<u32>) -> usize {
        self.lock().get(&uid).copied().unwrap_or_default()
    }
}

impl Held {
    /// Holds this many bytes more.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where the user's requests then hold more than they may.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        let mut users = self.budget.lock();
        let of_user = users.entry(self.uid).or_default();
        let grown = of_user.saturating_add(bytes);
        if grown > MAX_OF_USER {
            if *of_user == 0 {
                users.remove(&self.uid);
            }
            return Err(Status::resource_exhausted(format!(
                "your requests under way hold {MAX_OF_USER} bytes, which is all that one user's may: nothing was begun; wait for some of them to end, and send this one again"
            )));
        }
        *of_user = grown;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut users = self.budget.lock();
        if let Some(of_user) = users.get_mut(&self.uid) {
            *of_user = of_user.saturating_sub(self.bytes);
            if *of_user == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_budget_and_gets_it_back() {
        let budget = Budget::default();
        let mut first = budget.open(Some(1));
        let mut second = budget.open(Some(1));
        first.grow(MAX_OF_USER - 1).unwrap();
        second.grow(1).unwrap();
        let refused = second.grow(1).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        let mut other = budget.open(Some(2));
        other.grow(MAX_OF_USER).unwrap();
        assert!(budget.open(None).grow(MAX_OF_USER + 1).is_err());
        drop(first);
        second.grow(MAX_OF_USER - 1).unwrap();
        drop((second, other));
        assert!(budget.lock().is_empty());
    }
}
