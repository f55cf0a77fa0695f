//! The gateway's own log-ins at a target: a password that was refused is not tried at every call,
//! for each try counts, and the last one locks the account.
//!
//! A refused password is tried again after a minute, for a replica may not have heard of it yet;
//! then once an hour; and when an administrator asks for it by `test`. Another password is tried at
//! once. Log-ins go one after the other: many calls that come at once are one try, also where a
//! password that was right has just been changed at the target.
//!
//! Of a password nothing is kept but a digest, under a key that no other run of the gateway has.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_common::crypto::mac::{MacKey, TAG_LEN};
use tokio::time::{Instant, timeout_at};

use crate::model::Password;

/// How long a password is not tried again that was refused once …
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// … and more than once.
const PAUSE: Duration = Duration::from_secs(60 * 60);
/// Passwords that are remembered.
const MOST: usize = 64;

/// The log-ins of one connector.
#[derive(Debug)]
pub(crate) struct OwnLogIns {
    turn: tokio::sync::Mutex<()>,
    /// What passwords are digested under.
    key: MacKey,
    refused: Mutex<Vec<Refused>>,
}

#[derive(Debug)]
struct Refused {
    whose: String,
    digest: [u8; TAG_LEN],
    times: u32,
    /// When it was tried last.
    last: Instant,
    /// When it may be tried again.
    due: Instant,
    said: String,
}

/// A log-in that is tried now. To drop it says nothing about the password.
#[derive(Debug)]
pub(crate) struct LogIn<'a> {
    of: &'a OwnLogIns,
    whose: &'a str,
    password: &'a Password,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Default for OwnLogIns {
    fn default() -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            key: MacKey::new(&rand::random()),
            refused: Mutex::default(),
        }
    }
}

/// Why nothing is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotTried {
    /// Others were tried all the time.
    Late,
    /// It was refused before; the whole sentence.
    Refused(String),
}

impl OwnLogIns {
    /// A password may be tried, after all that are tried now.
    ///
    /// # Errors
    /// [`NotTried`].
    pub(crate) async fn begin<'a>(
        &'a self,
        whose: &'a str,
        password: &'a Password,
        deadline: Instant,
    ) -> Result<LogIn<'a>, NotTried> {
        self.check(whose, password)?;
        let turn = timeout_at(deadline, self.turn.lock()).await;
        let turn = turn.map_err(|_| NotTried::Late)?;
        // The one before may have been the same.
        self.check(whose, password)?;
        Ok(LogIn {
            of: self,
            whose,
            password,
            _turn: turn,
        })
    }

    /// An administrator asks: what was refused may be tried once more, unless it just was.
    pub(crate) fn try_again(&self, whose: &str) {
        let now = Instant::now();
        let mut refused = self.refused();
        let of_it = refused.iter_mut();
        for refused in of_it.filter(|refused| refused.whose == whose) {
            if refused.last + FIRST_PAUSE <= now {
                refused.due = now;
            }
        }
    }

    /// Which password is right has just been found out, or changed.
    pub(crate) fn forget(&self, whose: &str) {
        self.refused().retain(|refused| refused.whose != whose);
    }

    /// What the target said of the passwords that are not tried, for people.
    pub(crate) fn faults(&self) -> Vec<String> {
        let now = Instant::now();
        let refused = self.refused();
        let held = refused.iter().filter(|refused| now < refused.due);
        held.map(|refused| refused.sentence(now)).collect()
    }

    /// Whether a password may be tried.
    ///
    /// # Errors
    /// [`NotTried::Refused`].
    pub(crate) fn check(&self, whose: &str, password: &Password) -> Result<(), NotTried> {
        let now = Instant::now();
        let all = self.refused();
        match all.iter().find(|one| self.is(one, whose, password)) {
            Some(refused) if now < refused.due => Err(NotTried::Refused(refused.sentence(now))),
            _ => Ok(()),
        }
    }

    fn is(&self, refused: &Refused, whose: &str, password: &Password) -> bool {
        let digested = || self.key.verify(&[password.expose()], &refused.digest);
        refused.whose == whose && digested().is_ok()
    }

    fn refused(&self) -> MutexGuard<'_, Vec<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogIn<'_> {
    /// The target took it.
    pub(crate) fn taken(self) {
        self.of.forget(self.whose);
    }

    /// The target said that it is wrong, in these words.
    pub(crate) fn refused(self, said: &str) {
        let mut all = self.of.refused();
        let place = all
            .iter()
            .position(|one| self.of.is(one, self.whose, self.password));
        let before = place.map_or(0, |place| all.remove(place).times);
        if all.len() >= MOST {
            all.remove(0);
        }
        let now = Instant::now();
        all.push(Refused {
            whose: self.whose.to_owned(),
            digest: self.of.key.tag(&[self.password.expose()]).to_bytes(),
            times: before.saturating_add(1),
            last: now,
            due: now + if before == 0 { FIRST_PAUSE } else { PAUSE },
            said: said.to_owned(),
        });
    }
}

impl Refused {
    fn sentence(&self, now: Instant) -> String {
        let left = self.due.saturating_duration_since(now).as_secs().max(1);
        format!(
            "{}; so that the account is not locked, this password is tried again only in {}, or at `portcullis resource test`; another one is tried at once",
            self.said,
            humantime::format_duration(Duration::from_secs(left))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes().to_vec()).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// Whether it is tried; all that is tried here is wrong.
    async fn tries(all: &OwnLogIns, whose: &str, wrong: &Password) -> bool {
        let begun = all.begin(whose, wrong, soon()).await;
        let tried = begun.is_ok();
        if let Ok(log_in) = begun {
            tokio::task::yield_now().await;
            log_in.refused("wrong");
        }
        tried
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_password_is_tried_at_once_after_a_minute_and_then_once_an_hour() {
        let all = OwnLogIns::default();
        let wrong = password("wrong");
        let mut tried = Vec::new();
        for minute in 0..200 {
            if tries(&all, "cn=a", &wrong).await {
                tried.push(minute);
            }
            assert!(!tries(&all, "cn=a", &wrong).await);
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert_eq!(tried, [0, 1, 61, 121, 181]);
        assert_eq!(all.faults().len(), 1);
        assert!(all.faults()[0].starts_with("wrong; "), "{:?}", all.faults());
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_at_once_are_one_try() {
        let all = OwnLogIns::default();
        let wrong = password("wrong");
        let tried = (0..20).map(|_| tries(&all, "cn=a", &wrong));
        let tried = futures_util::future::join_all(tried).await;
        assert_eq!(tried.iter().filter(|tried| **tried).count(), 1);
        // Another account, and another password, is another matter.
        assert!(tries(&all, "cn=b", &wrong).await);
        let right = password("right");
        all.begin("cn=a", &right, soon()).await.unwrap().taken();
        assert!(!tries(&all, "cn=b", &wrong).await);
        // What was right is wrong now.
        let tried = (0..20).map(|_| tries(&all, "cn=a", &right));
        let tried = futures_util::future::join_all(tried).await;
        assert_eq!(tried.iter().filter(|tried| **tried).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_administrator_has_it_tried_again_but_not_over_and_over() {
        let all = OwnLogIns::default();
        let wrong = password("wrong");
        for _ in 0..2 {
            assert!(tries(&all, "cn=a", &wrong).await);
            all.try_again("cn=a");
            assert!(!tries(&all, "cn=a", &wrong).await);
            tokio::time::advance(FIRST_PAUSE).await;
        }
        assert!(!tries(&all, "cn=a", &wrong).await);
        all.try_again("cn=b");
        assert!(!tries(&all, "cn=a", &wrong).await);
        all.try_again("cn=a");
        assert!(tries(&all, "cn=a", &wrong).await);
        all.forget("cn=a");
        assert!(tries(&all, "cn=a", &wrong).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_beyond_his_time_tries_nothing() {
        let all = OwnLogIns::default();
        let wrong = password("wrong");
        let held = all.begin("cn=a", &wrong, soon()).await.unwrap();
        let late = all.begin("cn=a", &wrong, soon()).await;
        assert_eq!(late.unwrap_err(), NotTried::Late);
        drop(held);
        all.begin("cn=a", &wrong, soon()).await.unwrap();
    }
}
