//! When a domain locks an account: by its own rule, or by a finer one that holds for the account
//! (a password settings object, MS-ADTS 3.1.1.4.5.36).

use std::time::{Duration, SystemTime};

use portcullis_host::clock;

use super::times;
use crate::connector::directory::fault::Error;
use crate::connector::directory::message::Entry;
use crate::connector::directory::session::Session;
use crate::model::{LockoutLimit, Value};

/// The finer rule that holds for an account.
const FINER: &str = "msDS-ResultantPSO";
/// How many wrong passwords were tried, at the controller that is asked, and when the last one was.
const FAILURES: &str = "badPwdCount";
const LAST: &str = "badPasswordTime";

/// The wrong one that locks (0: none), and how long one counts, in negative hundreds of
/// nanoseconds: of the domain, and of a finer rule.
const OF_DOMAIN: [&str; 2] = ["lockoutThreshold", "lockOutObservationWindow"];
const OF_FINER: [&str; 2] = ["msDS-LockoutThreshold", "msDS-LockoutObservationWindow"];

/// How far the controllers' clocks may be from the gateway's.
const CLOCKS: Duration = Duration::from_secs(300);

/// What an account's entry says of it.
pub(super) fn attributes() -> Vec<String> {
    [FINER, FAILURES, LAST].map(str::to_owned).into()
}

/// When an account is locked; `None`: never, or the gateway may not read it.
pub(super) async fn limit(
    session: &Session<'_>,
    root: &str,
    entry: &Entry,
) -> Result<Option<LockoutLimit>, Error> {
    let finer = match entry.text(FINER) {
        Some(rule) => rule_of(session, rule, OF_FINER).await?,
        None => None,
    };
    let rule = match finer {
        Some(rule) => Some(rule),
        // A finer rule that may not be read holds all the same: that of the domain is the best
        // guess.
        None => rule_of(session, root, OF_DOMAIN).await?,
    };
    let Some((threshold, window)) = rule.filter(|(threshold, _)| *threshold > 0) else {
        return Ok(None);
    };
    Ok(Some(LockoutLimit {
        threshold,
        window,
        failures: failures(
            entry,
            window,
            SystemTime::UNIX_EPOCH + Duration::from_millis(clock::now().0),
        ),
        told_by: String::new(),
    }))
}

async fn rule_of(
    session: &Session<'_>,
    dn: &str,
    [threshold, window]: [&str; 2],
) -> Result<Option<(u32, Option<Duration>)>, Error> {
    let wanted = [threshold, window].map(str::to_owned);
    let Some(entry) = session.entry(dn, &wanted).await? else {
        return Ok(None);
    };
    let Some(threshold) = entry.text(threshold).and_then(|text| text.parse().ok()) else {
        return Ok(None);
    };
    let ticks = entry.text(window).and_then(|text| text.parse::<i64>().ok());
    let window = ticks.filter(|ticks| *ticks < 0 && *ticks != i64::MIN);
    // A tick has a hundred nanoseconds.
    let window = window.map(|ticks| Duration::from_micros(ticks.unsigned_abs().div_ceil(10)));
    Ok(Some((threshold, window)))
}

/// How many wrong passwords count now: all that are there, until the last one is too long ago.
fn failures(entry: &Entry, window: Option<Duration>, now: SystemTime) -> Option<u32> {
    let count = entry.text(FAILURES)?.parse().ok()?;
    let last = times::to_model(LAST, entry.text(LAST).unwrap_or_default().as_bytes());
    let age = match last {
        Some(Value::Time(when)) => Some(now.duration_since(when).unwrap_or_default()),
        _ => None,
    };
    let is_past = |(age, window): (Duration, Duration)| age >= window.saturating_add(CLOCKS);
    Some(match age.zip(window).is_some_and(is_past) {
        true => 0,
        false => count,
    })
}
