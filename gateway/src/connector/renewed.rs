//! The gateway's own passwords that it has just changed: calls that were sent before still come
//! with the one from before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Password;

/// How long a call may be under way that was sent with the password from before. Not longer: the
/// password from before may be given anew.
const LATE: Duration = Duration::from_secs(120);

/// Changes that are remembered.
const MOST: usize = 8;

/// Passwords that took the place of others a short while ago.
#[derive(Debug, Default)]
pub(crate) struct Renewed(Mutex<Vec<Change>>);

#[derive(Debug)]
struct Change {
    when: Instant,
    whose: String,
    before: Password,
    after: Password,
}

impl Renewed {
    /// Remembers a change.
    pub(crate) fn note(&self, whose: &str, before: &Password, after: &Password) {
        let mut changes = self.fresh();
        if changes.len() >= MOST {
            changes.remove(0);
        }
        changes.push(Change {
            when: Instant::now(),
            whose: whose.to_owned(),
            before: before.clone(),
            after: after.clone(),
        });
    }

    /// The password that counts now, where a call comes with this one.
    pub(crate) fn current(&self, whose: &str, given: &Password) -> Password {
        let mut current = given.clone();
        for change in self.fresh().iter() {
            if change.whose == whose && change.before == current {
                current = change.after.clone();
            }
        }
        current
    }

    fn fresh(&self) -> MutexGuard<'_, Vec<Change>> {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.retain(|change| change.when.elapsed() < LATE);
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_call_works_by_the_new_password_and_only_a_late_one() {
        let renewed = Renewed::default();
        let (one, two, three) = (password("one"), password("two"), password("three"));
        renewed.note("cn=a", &one, &two);
        renewed.note("cn=a", &two, &three);
        assert_eq!(renewed.current("cn=a", &one), three);
        assert_eq!(renewed.current("cn=a", &two), three);
        assert_eq!(renewed.current("cn=b", &one), one);
        tokio::time::advance(LATE).await;
        assert_eq!(renewed.current("cn=a", &one), one);
    }
}
