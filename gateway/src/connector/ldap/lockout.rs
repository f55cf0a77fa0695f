//! When the policy overlay locks an account (draft-behera-ldap-password-policy-10, section 5).

use std::time::{Duration, SystemTime};

use portcullis_host::clock;

use crate::connector::directory::fault::{Error, code};
use crate::connector::directory::filter::Filter;
use crate::connector::directory::message::Entry;
use crate::connector::directory::session::Session;
use crate::connector::directory::values::generalized;
use crate::model::LockoutLimit;

/// The policy of an entry, where it is not the default one.
const OWN_POLICY: &str = "pwdPolicySubentry";
/// When wrong passwords of it were tried.
const FAILURES: &str = "pwdFailureTime";

const LOCKS: &str = "pwdLockout";
const THRESHOLD: &str = "pwdMaxFailure";
const WINDOW: &str = "pwdFailureCountInterval";

/// Policies that are looked through.
const MOST_POLICIES: usize = 64;

/// How far the directory's clock may be from the gateway's.
const CLOCKS: Duration = Duration::from_secs(300);

/// What an account's entry says of it.
pub(super) fn attributes() -> Vec<String> {
    [OWN_POLICY, FAILURES].map(str::to_owned).into()
}

/// When an account is locked; `None`: no policy that the gateway can read locks it. Which policy is
/// the default one, a directory does not tell: of several the strictest counts.
pub(super) async fn limit(
    session: &Session<'_>,
    suffix: &str,
    entry: &Entry,
) -> Result<Option<LockoutLimit>, Error> {
    let wanted = [LOCKS, THRESHOLD, WINDOW].map(str::to_owned);
    let policies = match entry.text(OWN_POLICY) {
        Some(own) => session.entry(own, &wanted).await?.into_iter().collect(),
        None => {
            let filter = Filter::equal("objectClass", "pwdPolicy");
            match session
                .entries(suffix, filter, &wanted, MOST_POLICIES)
                .await
            {
                Ok(found) => found,
                // A directory that knows no such class, or shows none.
                Err(Error::Refused(answer)) if answer.code != code::BUSY => Vec::new(),
                Err(error) => return Err(error),
            }
        }
    };
    let strictest = policies.iter().filter_map(locking).reduce(|one, other| {
        let window = one.1.zip(other.1).map(|(one, other)| one.max(other));
        (one.0.min(other.0), window)
    });
    Ok(strictest.map(|(threshold, window)| LockoutLimit {
        threshold,
        window,
        failures: Some(failures(
            entry,
            window,
            SystemTime::UNIX_EPOCH + Duration::from_millis(clock::now().0),
        )),
        told_by: String::new(),
    }))
}

/// The wrong password that locks, and how long one counts; `None`: none locks.
fn locking(policy: &Entry) -> Option<(u32, Option<Duration>)> {
    let number = |name: &str| policy.text(name)?.parse::<u64>().ok();
    let locks = policy.text(LOCKS)?.eq_ignore_ascii_case("true");
    let threshold = number(THRESHOLD).filter(|most| locks && *most > 0)?;
    let window = number(WINDOW).filter(|seconds| *seconds > 0);
    Some((
        u32::try_from(threshold).unwrap_or(u32::MAX),
        window.map(Duration::from_secs),
    ))
}

/// How many wrong passwords count now.
fn failures(entry: &Entry, window: Option<Duration>, now: SystemTime) -> u32 {
    let counts = |value: &&bytes::Bytes| {
        let text = std::str::from_utf8(value).ok();
        let when = text.and_then(generalized);
        // One whose time makes no sense counts.
        let age = when.map(|when| now.duration_since(when).unwrap_or_default());
        age.zip(window)
            .is_none_or(|(age, window)| age < window.saturating_add(CLOCKS))
    };
    let count = entry.values(FAILURES).iter().filter(counts).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}
