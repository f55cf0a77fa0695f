//! Wrong passwords that this gateway has tried, by account: one more is not tried where it could be
//! the one that locks the account.
//!
//! Each try counts as a wrong one before it is made, and no more once it turned out right: what
//! becomes of a call that is cut off in between, nobody knows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Failure, FailureKind, LockoutLimit};

/// Accounts that are remembered.
const MOST: usize = 20_000;

/// How long a wrong one is remembered where it counts until a right one comes.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// The wrong ones of every account.
#[derive(Debug, Default)]
pub(super) struct WrongTries(Mutex<HashMap<String, Wrong>>);

#[derive(Debug)]
struct Wrong {
    count: u32,
    last: Instant,
    window: Duration,
    /// The server whose own count was seen to follow this one: where that falls, the account was
    /// unlocked or somebody has logged in there.
    followed_by: Option<String>,
}

impl WrongTries {
    /// Counts one more wrong try of an account, unless it could be the one that locks it.
    ///
    /// # Errors
    /// A [`Failure`] where it could, or too many accounts are remembered already.
    pub(super) fn begin(&self, account: &str, limit: &LockoutLimit) -> Result<(), Failure> {
        let mut all = self.lock();
        let window = limit.window.unwrap_or(LONG);
        let now = Instant::now();
        if all.len() >= MOST {
            all.retain(|_, wrong| now < wrong.last + wrong.window);
        }
        if all.len() >= MOST && !all.contains_key(account) {
            let message = "wrong passwords of too many accounts were tried through this gateway: nothing was tried now, try again later";
            return Err(Failure::new(FailureKind::Busy, message));
        }
        let wrong = all.entry(account.to_owned()).or_insert(Wrong {
            count: 0,
            last: now,
            window,
            followed_by: None,
        });
        if now >= wrong.last + window {
            wrong.count = 0;
            wrong.followed_by = None;
        }
        let counted = wrong.standing(limit);
        if counted.saturating_add(1) >= limit.threshold {
            let until = match limit.window {
                Some(window) => format!("within {}", humantime::format_duration(window)),
                None => "since the last right one".to_owned(),
            };
            if wrong.count == 0 {
                all.remove(account);
            }
            return Err(Failure::new(
                FailureKind::AccountLocked,
                format!(
                    "the password was not tried: {counted} wrong ones count {until}, and {} lock the account",
                    limit.threshold
                ),
            ));
        }
        wrong.count = wrong.count.saturating_add(1);
        wrong.last = now;
        wrong.window = window;
        Ok(())
    }

    /// The one that was begun was right.
    pub(super) fn right(&self, account: &str) {
        self.lock().remove(account);
    }

    /// The one that was begun was not tried, or not counted.
    pub(super) fn take_back(&self, account: &str) {
        let mut all = self.lock();
        if let Some(wrong) = all.get_mut(account) {
            wrong.count = wrong.count.saturating_sub(1);
            if wrong.count == 0 {
                all.remove(account);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Wrong>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wrong {
    /// How many count, by what was tried here and by what the target says.
    fn standing(&mut self, limit: &LockoutLimit) -> u32 {
        let Some(failures) = limit.failures else {
            return self.count;
        };
        if failures >= self.count {
            if self.count > 0 {
                self.followed_by = Some(limit.told_by.clone());
            }
        } else if self.followed_by.as_ref() == Some(&limit.told_by) {
            self.count = failures;
        }
        self.count.max(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(threshold: u32, minutes: Option<u64>, failures: Option<u32>) -> LockoutLimit {
        LockoutLimit {
            threshold,
            window: minutes.map(|minutes| Duration::from_secs(60 * minutes)),
            failures,
            told_by: "one".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_less_than_locks_is_tried_within_the_window() {
        let tries = WrongTries::default();
        let limit = limit(3, Some(30), None);
        for _ in 0..2 {
            tries.begin("ada", &limit).unwrap();
        }
        let refused = tries.begin("ada", &limit).unwrap_err();
        assert_eq!(refused.kind, FailureKind::AccountLocked);
        tries.begin("eve", &limit).unwrap();
        tokio::time::advance(Duration::from_secs(30 * 60)).await;
        tries.begin("ada", &limit).unwrap();
        tries.right("ada");
        tries.begin("ada", &limit).unwrap();
        tries.take_back("ada");
        for _ in 0..2 {
            tries.begin("ada", &limit).unwrap();
        }
        tries.begin("ada", &limit).unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_tried_counts_and_a_right_one_elsewhere_is_believed_of_the_same_server() {
        let tries = WrongTries::default();
        tries.begin("ada", &limit(4, None, Some(2))).unwrap();
        tries.begin("ada", &limit(4, None, Some(3))).unwrap_err();
        // Somebody has logged in there.
        for failures in 0..3 {
            let limit = limit(4, None, Some(failures));
            tries.begin("ada", &limit).unwrap();
        }
        // Another server counts for itself.
        let other = LockoutLimit {
            told_by: "two".to_owned(),
            ..limit(4, None, Some(0))
        };
        tries.begin("ada", &other).unwrap_err();
        tries.begin("ada", &limit(4, None, Some(0))).unwrap();
        // One that nobody may read proves nothing.
        tries.begin("eve", &limit(3, None, Some(0))).unwrap();
        tries.begin("eve", &limit(3, None, Some(0))).unwrap();
        tries.begin("eve", &limit(3, None, Some(0))).unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_names_is_bounded_and_opens_nothing() {
        let tries = WrongTries::default();
        let limit = limit(3, Some(1), None);
        for number in 0..MOST {
            tries.begin(&number.to_string(), &limit).unwrap();
        }
        let busy = tries.begin("one more", &limit).unwrap_err();
        assert_eq!(busy.kind, FailureKind::Busy);
        tries.begin("7", &limit).unwrap();
        tries.begin("7", &limit).unwrap_err();
        tokio::time::advance(Duration::from_secs(60)).await;
        tries.begin("one more", &limit).unwrap();
    }
}
