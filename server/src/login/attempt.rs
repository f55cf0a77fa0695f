//! One try to log in, from the counts of those that failed to a session.

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;

use super::application::{Application, Kind};
use super::flags::{ModuleResult, Progress, agreed};
use super::limits::Limits;
use super::lockout::{Failures, KNOWN_FOR, OF_ADDRESS, OF_USER};
use super::password;
use super::rule::{Seen, choose};
use super::session::SessionSecret;
use crate::access::PeerFacts;
use crate::repository::{Count, Counted, NewSession, Repository, RepositoryError};

/// A try to log in.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// To what.
    pub application: &'a Application,
    /// Who they say they are.
    pub user: &'a str,
    /// From where.
    pub from: &'a PeerFacts,
}

/// Somebody who has logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who it is.
    pub user: String,
    /// What they present from now on.
    pub secret: SessionSecret,
    /// The id of the session.
    pub session: String,
    /// How long it lasts.
    pub limits: Limits,
    /// What each module came to: for the audit log.
    pub trail: String,
}

/// Nobody has logged in.
#[derive(Debug)]
pub struct NotLoggedIn {
    /// Why, for whoever tried.
    pub why: Why,
    /// What each module came to: for the audit log alone.
    pub trail: String,
}

/// Why nobody has logged in. Whoever tries learns no more than this.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The user or the password is wrong, or there is no such user.
    #[error(
        "this is not the name and the password of a user: check both, then run `portcullis login` again"
    )]
    Wrong,
    /// Too many tries have failed.
    #[error("too many log-ins have failed: the next try is taken in {} s", .0.div_ceil(1_000))]
    Wait(u64),
    /// Nobody logs in to the application now.
    #[error("nobody can log in to application {name} now{}", said(message))]
    Disabled {
        /// The application.
        name: String,
        /// What its administrators say of it.
        message: String,
    },
    /// Nobody can tell now whether they are right.
    #[error("nobody can tell now whether this is right: try again in a moment")]
    Unavailable,
    /// The repository cannot be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

fn said(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

/// Logs somebody in by a password.
///
/// The try counts as failed from before its modules are asked, so that no number of tries at once
/// gets around the count; one that succeeds, or of which nobody could tell, is taken out again.
///
/// # Errors
/// [`NotLoggedIn`].
pub async fn log_in(
    repository: &Repository,
    attempt: Attempt<'_>,
    password: &[u8],
) -> Result<LoggedIn, NotLoggedIn> {
    let untried = |why: Why| NotLoggedIn {
        why,
        trail: String::new(),
    };
    if let Some(message) = &attempt.application.disabled {
        return Err(untried(Why::Disabled {
            name: attempt.application.name.clone(),
            message: message.clone(),
        }));
    }
    let counts = Counts {
        repository,
        attempt,
    };
    let wait = counts
        .begin()
        .await
        .map_err(|error| untried(error.into()))?;
    if wait > 0 {
        return Err(NotLoggedIn {
            why: Why::Wait(wait),
            trail: "locked out, no module was asked".to_owned(),
        });
    }
    let Tried {
        user,
        uncertain,
        trail,
    } = tried(repository, attempt, password).await;
    let Some(user) = user else {
        let why = if uncertain {
            Why::Unavailable
        } else {
            Why::Wrong
        };
        if uncertain {
            let taken_back = counts.take_back().await;
            taken_back.map_err(|error| untried(error.into()))?;
        }
        return Err(NotLoggedIn { why, trail });
    };
    let begun = async {
        counts.succeeded().await?;
        begin(repository, attempt, &user, &trail).await
    };
    match begun.await {
        Ok((secret, limits)) => Ok(LoggedIn {
            session: secret.id(),
            user,
            secret,
            limits,
            trail,
        }),
        // Removed meanwhile.
        Err(RepositoryError::NotFound { .. }) => Err(NotLoggedIn {
            why: Why::Wrong,
            trail,
        }),
        Err(error) => Err(untried(error.into())),
    }
}

/// What the modules came to.
struct Tried {
    user: Option<String>,
    /// It failed, and where nobody could tell it might not have.
    uncertain: bool,
    trail: String,
}

async fn tried(repository: &Repository, attempt: Attempt<'_>, password: &[u8]) -> Tried {
    let mut progress = Progress::default();
    let (mut named, mut steps) = (Vec::new(), Vec::<String>::new());
    let mut uncertain = false;
    let seen = Seen {
        peer: attempt.from,
        now: clock::now(),
    };
    let group = choose(&attempt.application.groups, seen);
    match group {
        Some(group) => steps.push(format!("group {}", group.name)),
        None => steps.push("the rule of no group holds".to_owned()),
    }
    // Where none is, it costs what a wrong password does.
    if group.is_none() {
        let _ = password::check(repository, attempt.user, password).await;
    }
    for module in group.map_or(&[][..], |group| &group.modules) {
        if !progress.goes_on() {
            break;
        }
        let found = match module.kind {
            Kind::Password => password::check(repository, attempt.user, password).await,
        };
        progress.tell(module.flag, found.result);
        uncertain |= found.result == ModuleResult::Unavailable;
        let why = found.why.map(|why| format!(" ({why})")).unwrap_or_default();
        let kind = module.kind.name();
        steps.push(format!("{kind} ({}): {}{why}", module.flag, found.result));
        named.extend(found.user);
    }
    let user = agreed(named.iter().map(String::as_str));
    if user.is_none() && !named.is_empty() {
        steps.push("the modules name two users".to_owned());
    }
    let user = user.filter(|_| progress.succeeds()).map(str::to_owned);
    Tried {
        uncertain: uncertain && user.is_none(),
        user,
        trail: steps.join(", "),
    }
}

async fn begin(
    repository: &Repository,
    attempt: Attempt<'_>,
    user: &str,
    trail: &str,
) -> Result<(SessionSecret, Limits), RepositoryError> {
    let secret = SessionSecret::random();
    let limits = attempt.application.limits;
    let session = NewSession {
        id: secret.id(),
        digest: secret.digest(),
        user: user.to_owned(),
        application: attempt.application.name.clone(),
        idle_ms: limits.idle_ms,
        absolute_ms: limits.absolute_ms,
        address: attempt.from.address.to_string(),
        method: trail.to_owned(),
        single: attempt.application.single_session,
    };
    repository.sessions().begin(session).await?;
    Ok((secret, limits))
}

/// The counts that a try goes by: of its user, of its user from its address, and of its address.
struct Counts<'a> {
    repository: &'a Repository,
    attempt: Attempt<'a>,
}

impl Counts<'_> {
    fn counted(&self) -> [Counted; 3] {
        let Attempt {
            application,
            user,
            from,
        } = self.attempt;
        let (application, user) = (application.name.clone(), user.to_owned());
        let address = from.address.to_string();
        [
            Counted::User {
                application: application.clone(),
                user: user.clone(),
            },
            Counted::UserAt {
                application,
                user,
                address: address.clone(),
            },
            Counted::Address(address),
        ]
    }

    /// Counts the try as failed. Gives how long it has to wait, in milliseconds; then it is not
    /// counted.
    async fn begin(&self) -> Result<u64, RepositoryError> {
        if self.attempt.from.owner {
            return Ok(0);
        }
        self.change(begun).await
    }

    /// The try was none.
    async fn take_back(&self) -> Result<(), RepositoryError> {
        if self.attempt.from.owner {
            return Ok(());
        }
        self.change(taken_back).await
    }

    /// The try succeeded: nothing is held against the user here any more.
    async fn succeeded(&self) -> Result<(), RepositoryError> {
        self.change(succeeded).await
    }

    async fn change<T: Send + 'static>(
        &self,
        work: fn(&mut [Count; 3], UnixMillis) -> T,
    ) -> Result<T, RepositoryError> {
        let failures = self.repository.log_in_failures();
        failures.change(self.counted(), work).await
    }
}

/// The count of the user that holds from this address: an address at which they are known has one
/// of its own, so that a guesser elsewhere locks nobody out.
fn of_user(counts: &mut [Count; 3], now: UnixMillis) -> (&mut Count, &mut Count) {
    let [anywhere, here, address] = counts;
    let lasts = u64::try_from(KNOWN_FOR.as_millis()).unwrap_or(u64::MAX);
    let known = here.known;
    let is_known = known.is_some_and(|known| now.0.saturating_sub(known.0) < lasts);
    let user = if is_known { here } else { anywhere };
    (user, address)
}

fn begun(counts: &mut [Count; 3], now: UnixMillis) -> u64 {
    let (user, address) = of_user(counts, now);
    let both = [(user, OF_USER), (address, OF_ADDRESS)];
    let waits = both
        .iter()
        .map(|(count, pace)| pace.remaining(failures(count), now));
    let wait = waits.max().unwrap_or(0);
    if wait == 0 {
        for (count, pace) in both {
            let Failures {
                count: so_many,
                last,
            } = pace.with_one_more(failures(count), now);
            (count.failures, count.last) = (so_many, last);
        }
    }
    wait
}

fn taken_back(counts: &mut [Count; 3], now: UnixMillis) {
    let (user, address) = of_user(counts, now);
    for count in [user, address] {
        count.failures = count.failures.saturating_sub(1);
    }
}

fn succeeded(counts: &mut [Count; 3], now: UnixMillis) {
    let (user, address) = of_user(counts, now);
    user.failures = 0;
    // Who knows one password does not buy more guesses at others'.
    address.failures = address.failures.saturating_sub(1);
    let [_, here, _] = counts;
    here.known = Some(now);
    here.failures = 0;
    here.last = now;
}

const fn failures(count: &Count) -> Failures {
    Failures {
        count: count.failures,
        last: count.last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000_000_000);

    #[test]
    fn a_guesser_elsewhere_locks_nobody_out_where_they_are_known() {
        let mut elsewhere = [Count::NONE; 3];
        let mut waited = 0;
        for _ in 0..40 {
            waited = waited.max(begun(&mut elsewhere, NOW));
        }
        assert_eq!(waited, 1_000);
        // The count of the user is one; that of the address is each its own.
        let [anywhere, ..] = elsewhere;
        let mut at_home = [anywhere, Count::NONE, Count::NONE];
        assert_eq!(begun(&mut at_home, NOW), 1_000);
        let known = Count {
            known: Some(NOW),
            ..Count::NONE
        };
        let mut at_home = [anywhere, known, Count::NONE];
        assert_eq!(begun(&mut at_home, NOW.plus(1)), 0);
        // A month later they are strangers there.
        let month = 30 * 24 * 60 * 60 * 1_000;
        let still = Count {
            last: NOW.plus(month),
            ..anywhere
        };
        assert_eq!(
            begun(&mut [still, known, Count::NONE], NOW.plus(month)),
            1_000
        );
        assert_eq!(
            begun(&mut [still, known, Count::NONE], NOW.plus(month - 1)),
            0
        );
    }

    #[test]
    fn a_try_that_waits_is_not_counted_and_one_of_which_nobody_could_tell_is_taken_out() {
        let mut counts = [Count::NONE; 3];
        for _ in 0..5 {
            assert_eq!(begun(&mut counts, NOW), 0);
        }
        taken_back(&mut counts, NOW);
        assert_eq!(begun(&mut counts, NOW), 0);
        assert_eq!(begun(&mut counts, NOW), 0);
        let before = counts;
        assert_eq!(begun(&mut counts, NOW), 1_000);
        assert_eq!(counts, before);
        succeeded(&mut counts, NOW);
        assert_eq!(counts[0].failures, 0);
        assert_eq!(counts[2].failures, 5);
        assert_eq!(counts[1].known, Some(NOW));
    }
}
