//! The gateway's own log-ins at a target: a password that was refused is not tried at every call,
//! for each try counts, and the last one locks the account.
//!
//! A refused password is tried again after a minute, for a replica may not have heard of it yet;
//! then once an hour; and when an administrator asks for it by `test`. Another password is tried at
//! once. But whatever is asked for, and by whom, of one account no more than [`MOST_WRONG`] are
//! refused within an hour: the next would be that which locks it, and a server that wants it locked
//! has as many passwords as it likes.
//!
//! Log-ins go one after the other: many calls that come at once are one try, also where a password
//! that was right has just been changed at the target.
//!
//! Of a password nothing is kept but a digest, under a key that no other run of the gateway has.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_common::crypto::mac::{MacKey, TAG_LEN};
use tokio::time::{Instant, timeout_at};

use crate::model::Password;

/// How long a password is not tried again that was refused once …
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// … and more than once.
const PAUSE: Duration = Duration::from_secs(60 * 60);
/// Passwords of one account, different or not, that are refused within [`PAUSE`]. Few directories
/// lock an account at the third.
const MOST_WRONG: usize = 3;
/// Accounts that are remembered.
const MOST: usize = 20_000;
/// Passwords that people are told of at once.
const MOST_TOLD: usize = 16;

/// The log-ins of one connector.
#[derive(Debug)]
pub(crate) struct OwnLogIns {
    turn: tokio::sync::Mutex<()>,
    /// What passwords are digested under.
    key: MacKey,
    accounts: Mutex<HashMap<String, Account>>,
}

/// What was refused of one account.
#[derive(Debug, Default)]
struct Account {
    /// When, within [`PAUSE`].
    tries: VecDeque<Instant>,
    passwords: Vec<Refused>,
}

#[derive(Debug)]
struct Refused {
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
            accounts: Mutex::default(),
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
        let mut accounts = self.accounts();
        let passwords = accounts
            .get_mut(whose)
            .map(|account| &mut account.passwords);
        for refused in passwords.into_iter().flatten() {
            if refused.may_be_asked_for(now) {
                refused.due = now;
            }
        }
    }

    /// Which password is right has just been found out, or changed.
    pub(crate) fn forget(&self, whose: &str) {
        self.accounts().remove(whose);
    }

    /// What the target said of passwords that are not tried, for people.
    pub(crate) fn faults(&self) -> Vec<String> {
        let now = Instant::now();
        let accounts = self.accounts();
        let passwords = accounts.values().flat_map(|account| &account.passwords);
        let held = passwords.filter(|refused| now < refused.due);
        held.take(MOST_TOLD)
            .map(|refused| refused.sentence(now))
            .collect()
    }

    /// Whether a password may be tried.
    ///
    /// # Errors
    /// [`NotTried::Refused`].
    pub(crate) fn check(&self, whose: &str, password: &Password) -> Result<(), NotTried> {
        let now = Instant::now();
        let mut accounts = self.accounts();
        if accounts.len() >= MOST {
            accounts.retain(|_, account| account.counts(now));
        }
        let room = accounts.len() < MOST;
        let Some(account) = accounts.get(whose) else {
            let full = "wrong passwords of too many accounts were tried here: nothing is tried now, try again later";
            return if room {
                Ok(())
            } else {
                Err(NotTried::Refused(full.to_owned()))
            };
        };
        let mut passwords = account.passwords.iter();
        let held = passwords.find(|refused| now < refused.due && self.is(refused, password));
        let sentence = match held {
            Some(refused) => Some(refused.sentence(now)),
            None => account.sentence(now),
        };
        sentence.map_or(Ok(()), |sentence| Err(NotTried::Refused(sentence)))
    }

    fn is(&self, refused: &Refused, password: &Password) -> bool {
        self.key
            .verify(&[password.expose()], &refused.digest)
            .is_ok()
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogIn<'_> {
    /// The target took it.
    pub(crate) fn taken(self) {
        self.of.forget(self.whose);
    }

    /// The target said that it is wrong, in these words.
    pub(crate) fn refused(self, said: &str) {
        let now = Instant::now();
        let mut accounts = self.of.accounts();
        let account = accounts.entry(self.whose.to_owned()).or_default();
        account.age(now);
        let mut passwords = account.passwords.iter();
        let place = passwords.position(|refused| self.of.is(refused, self.password));
        let before = place.map_or(0, |place| account.passwords.remove(place).times);
        account.tries.push_back(now);
        account.passwords.push(Refused {
            digest: self.of.key.tag(&[self.password.expose()]).to_bytes(),
            times: before.saturating_add(1),
            last: now,
            due: now + if before == 0 { FIRST_PAUSE } else { PAUSE },
            said: said.to_owned(),
        });
    }
}

impl Account {
    /// Drops what is so old that it decides nothing.
    fn age(&mut self, now: Instant) {
        self.tries.retain(|tried| now < *tried + PAUSE);
        self.passwords
            .retain(|refused| now < refused.last + 2 * PAUSE);
    }

    fn counts(&mut self, now: Instant) -> bool {
        self.age(now);
        !self.tries.is_empty() || !self.passwords.is_empty()
    }

    /// Why none of its passwords is tried, where too many were refused.
    fn sentence(&self, now: Instant) -> Option<String> {
        let decisive = self.tries.len().checked_sub(MOST_WRONG)?;
        let due = *self.tries.get(decisive)? + PAUSE;
        let said = self.passwords.last().map_or("", |refused| &refused.said);
        (now < due).then(|| {
            format!(
                "{said}; {MOST_WRONG} wrong passwords of the account were tried within an hour: so that it is not locked, none is tried in the next {}, unless the gateway is restarted",
                left(due, now)
            )
        })
    }
}

impl Refused {
    /// Whether a test has it tried again.
    fn may_be_asked_for(&self, now: Instant) -> bool {
        self.last + FIRST_PAUSE <= now
    }

    fn sentence(&self, now: Instant) -> String {
        let by_test = match self.may_be_asked_for(now) {
            true => ", or now at `portcullis resource test`",
            false => "",
        };
        format!(
            "{}; so that the account is not locked, this password is tried again only in {}{by_test}; another one is tried at once",
            self.said,
            left(self.due, now)
        )
    }
}

/// What is left until then, in whole seconds.
fn left(due: Instant, now: Instant) -> humantime::FormattedDuration {
    let seconds = due.saturating_duration_since(now).as_secs().max(1);
    humantime::format_duration(Duration::from_secs(seconds))
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

    #[tokio::test(start_paused = true)]
    async fn of_one_account_few_are_refused_an_hour_whatever_they_are_and_whoever_asks() {
        let all = OwnLogIns::default();
        let mut tried = Vec::new();
        for minute in 0..180 {
            let other = password(&format!("guess {minute}"));
            all.try_again("cn=a");
            if tries(&all, "cn=a", &other).await {
                tried.push(minute);
            }
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert_eq!(tried, [0, 1, 2, 60, 61, 62, 120, 121, 122]);
        // Another account is another matter, and a right one ends the count.
        assert!(tries(&all, "cn=b", &password("guess")).await);
        all.forget("cn=a");
        assert!(tries(&all, "cn=a", &password("guess")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_accounts_is_bounded_and_opens_nothing() {
        let all = OwnLogIns::default();
        let wrong = password("wrong");
        for number in 0..MOST {
            assert!(tries(&all, &number.to_string(), &wrong).await);
        }
        assert!(!tries(&all, "one more", &wrong).await);
        assert!(!tries(&all, "7", &wrong).await);
        assert!(all.faults().len() <= MOST_TOLD);
        tokio::time::advance(2 * PAUSE).await;
        assert!(tries(&all, "one more", &wrong).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_of_a_test_is_what_a_test_does() {
        let all = OwnLogIns::default();
        let wrong = password("wrong");
        let said = || match all.check("cn=a", &wrong) {
            Err(NotTried::Refused(said)) => said,
            other => panic!("{other:?}"),
        };
        assert!(tries(&all, "cn=a", &wrong).await);
        assert!(said().contains("only in 1m; another"), "{}", said());
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(tries(&all, "cn=a", &wrong).await);
        assert!(said().contains("only in 1h; another"), "{}", said());
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(said().contains("only in 59m, or now at"), "{}", said());
        all.try_again("cn=a");
        assert!(tries(&all, "cn=a", &wrong).await);
        let other = all.check("cn=a", &password("other")).unwrap_err();
        let NotTried::Refused(said) = other else {
            panic!("{other:?}");
        };
        assert!(said.contains("in the next 58m, unless"), "{said}");
    }
}
