//! Log-ins through a common resource: directories in a fixed order, of which one gets the password.
//!
//! ```text
//! directory ─→ way 1 ─→ unreachable before the password was sent ─→ way 2 ─→ … ─→ next directory
//!                  ├──→ no such account ─────────────────────────────────────→ next directory
//!                  └──→ anything else: that is the answer
//! ```
//!
//! No password is tried at a second place once a first one may have had it. To whoever asked, an
//! unknown account and a wrong password look alike, in text and in time: every answer but `right`
//! leaves at the next of moments that lie half a second apart. What it was stands in the audit log.

use std::time::Duration;

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{
    Authenticate, Call, Done, Failure, FailureKind, ObjectClass, ObjectRef, Outcome, Secret,
};
use tokio::time::{Instant, sleep_until};

use super::describe::{Described, audited};
use super::entry::CallEntry;
use super::{DispatchError, Form, Prepared, Provisioning, Ready, make_ready, outcome, with_id};
use crate::audit::{self, AuditError, Draft, Subject};
use crate::fleet::Attempt;
use crate::repository::CommonResource;

/// Answers that tell nothing leave at multiples of this after the question came.
const STEP: Duration = Duration::from_millis(500);

/// What is told of a wrong password and of an unknown account.
const WRONG: &str = "the password is wrong, or there is no such account";
/// What is told where a directory did not answer, or not in time.
const AWAY: &str = "whether the password is right could not be found out now: try again later";
/// What is told where the password is right, and not of use before it was changed.
const EXPIRED: &str = "the password is right, but has run out or must be changed first";

/// Who wants to log in.
#[derive(Debug)]
pub struct LogIn {
    /// The name of the account.
    pub account: String,
    /// The password.
    pub password: Secret,
    /// The caller's id; empty: none.
    pub call_id: String,
    /// What each directory may take, in milliseconds; 0: the gateway's own limit.
    pub timeout_ms: u32,
    /// The place of its calls in a trace; empty: none.
    pub traceparent: String,
}

/// What a resource said.
#[derive(Debug)]
pub struct Tried {
    /// The resource.
    pub resource: String,
    /// What it said, as whoever may see it is told.
    pub outcome: Outcome,
}

/// What came of a log-in.
#[derive(Debug)]
pub struct LoggedIn {
    /// What is told to whoever asked.
    pub outcome: Outcome,
    /// The resources that were asked, in their order.
    pub tried: Vec<Tried>,
}

/// Tries a password at the one directory that has the account.
///
/// # Errors
/// [`DispatchError`].
pub async fn log_in(
    provisioning: &Provisioning,
    subject: &Subject,
    common: &CommonResource,
    log_in: LogIn,
) -> Result<LoggedIn, DispatchError> {
    let asked = Instant::now();
    let answered = attempt(provisioning, subject, common, log_in).await;
    let is_right = answered
        .as_ref()
        .is_ok_and(|found| matches!(found.outcome.result, Some(OutcomeResult::Done(_))));
    if !is_right {
        sleep_until(next_step(asked, Instant::now())).await;
    }
    answered
}

/// The first of the moments that has not passed.
fn next_step(asked: Instant, now: Instant) -> Instant {
    let steps = now
        .duration_since(asked)
        .as_nanos()
        .div_ceil(STEP.as_nanos());
    let steps = u32::try_from(steps).unwrap_or(u32::MAX).max(1);
    asked + STEP.saturating_mul(steps)
}

async fn attempt(
    provisioning: &Provisioning,
    subject: &Subject,
    common: &CommonResource,
    log_in: LogIn,
) -> Result<LoggedIn, DispatchError> {
    let LogIn {
        account,
        password,
        call_id,
        timeout_ms,
        traceparent,
    } = log_in;
    let object = ObjectRef {
        object_class: ObjectClass::Account.into(),
        by: Some(By::Name(account)),
        ..ObjectRef::default()
    };
    let call = with_id(Call {
        call_id,
        timeout_ms,
        traceparent,
        verb: Some(Verb::Authenticate(Authenticate {
            object: Some(object),
            password: Some(password),
            tells_unknown: true,
        })),
        ..Call::default()
    });
    let mut search = Search::default();
    'directories: for ways in &common.directories {
        for resource in ways {
            let asking = Asking {
                provisioning,
                subject,
                common: &common.name,
                resource,
            };
            let said = asking.ask(call.clone()).await?;
            let next = said.next;
            search.tried.push(Tried {
                resource: resource.clone(),
                outcome: said.outcome,
            });
            match next {
                Next::AnotherWay => {}
                Next::AnotherDirectory => continue 'directories,
                Next::Stop => break 'directories,
            }
        }
        search.away = true;
    }
    let outcome = search.told(call.call_id);
    Ok(LoggedIn {
        outcome,
        tried: search.tried,
    })
}

/// What has been learnt so far.
#[derive(Default)]
struct Search {
    tried: Vec<Tried>,
    /// A directory that comes before could not be asked: its account would have been the one.
    away: bool,
}

impl Search {
    /// What whoever asked is told.
    fn told(&self, call_id: String) -> Outcome {
        let last = self
            .tried
            .last()
            .and_then(|tried| tried.outcome.result.as_ref());
        let kind = match last {
            Some(OutcomeResult::Done(_)) => {
                let done = OutcomeResult::Done(Done::default());
                return Outcome {
                    call_id,
                    result: Some(done),
                };
            }
            Some(OutcomeResult::Failed(failure)) => failure.kind(),
            Some(OutcomeResult::Indeterminate(_)) | None => FailureKind::Unavailable,
        };
        let (kind, message) = match kind {
            FailureKind::PasswordExpired => (kind, EXPIRED),
            FailureKind::Invalid => (kind, "the call is malformed: look at the account's name"),
            // Each of them says, or may say, that there is such an account.
            FailureKind::NotFound
            | FailureKind::BadCredentials
            | FailureKind::AccountLocked
            | FailureKind::AccountDisabled
            | FailureKind::Refused
                if !self.away =>
            {
                (FailureKind::BadCredentials, WRONG)
            }
            _ => (FailureKind::Unavailable, AWAY),
        };
        outcome::failed_with(call_id, kind, message.to_owned())
    }
}

/// Where a log-in goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing has left for the resource: another way to the same directory may be tried.
    AnotherWay,
    /// The directory has no such account.
    AnotherDirectory,
    /// It has had the password, or may have had it.
    Stop,
}

struct Said {
    outcome: Outcome,
    next: Next,
}

struct Asking<'a> {
    provisioning: &'a Provisioning,
    subject: &'a Subject,
    common: &'a str,
    resource: &'a str,
}

impl Asking<'_> {
    /// Asks one resource, and writes the entry of it.
    async fn ask(&self, call: Call) -> Result<Said, DispatchError> {
        let entry = self.entry(&call).await.map_err(DispatchError::Audit)?;
        let (provisioning, resource) = (self.provisioning, self.resource);
        let id = call.call_id.clone();
        let ready = match make_ready(provisioning, resource, call, None, Form::Given).await {
            Ok(Prepared::Ready(ready)) => ready,
            Ok(Prepared::Answered(outcome)) => {
                entry.outcome(&outcome).await;
                let next = match is_away(&outcome) {
                    true => Next::AnotherWay,
                    false => Next::Stop,
                };
                return Ok(Said { outcome, next });
            }
            Err(error) => {
                entry.end(audit::Outcome::Failed, &error.to_string()).await;
                return Err(error);
            }
        };
        let entry = entry.through(ready.gateway());
        let said = self.send(*ready, id).await?;
        entry.outcome(&said.outcome).await;
        Ok(said)
    }

    async fn send(&self, ready: Ready, id: String) -> Result<Said, DispatchError> {
        let tells = self.provisioning.tells_unknown(ready.gateway());
        let Ready { to, call, .. } = ready;
        let attempt = self.provisioning.fleet.attempt(&to, call).await?;
        Ok(match attempt {
            Attempt::Ended(outcome) => Said {
                next: next(&outcome, tells),
                outcome,
            },
            Attempt::Lost(outcome) => Said {
                outcome,
                next: Next::Stop,
            },
            Attempt::Unsent(why) => Said {
                outcome: outcome::failed_with(id, FailureKind::Unavailable, why),
                next: Next::AnotherWay,
            },
        })
    }

    async fn entry(&self, call: &Call) -> Result<CallEntry, AuditError> {
        let draft = || {
            let described = Described::new(self.resource, call, "");
            let action = format!("call {}", described.verb);
            let object = format!("{}, through {}", described.object, self.common);
            let subject = self.subject.clone();
            let draft = Draft::new(subject, &action, &object, audit::Outcome::Unknown);
            draft.about(described.fields)
        };
        CallEntry::ready(&self.provisioning.audit, draft).await
    }
}

/// Where it goes on after an answer of a gateway, which `tells` what it did not send and what it
/// did not find; of an earlier version, it does not.
fn next(outcome: &Outcome, tells: bool) -> Next {
    match &outcome.result {
        Some(OutcomeResult::Failed(failure)) if tells => match failure.kind() {
            FailureKind::NotFound => Next::AnotherDirectory,
            FailureKind::Unavailable | FailureKind::Busy => Next::AnotherWay,
            _ => Next::Stop,
        },
        _ => Next::Stop,
    }
}

fn is_away(outcome: &Outcome) -> bool {
    matches!(
        &outcome.result,
        Some(OutcomeResult::Failed(Failure { kind, .. })) if *kind == i32::from(FailureKind::Unavailable)
    )
}

impl Tried {
    /// In words, for whoever may see it.
    pub fn words(&self) -> String {
        let (outcome, why) = audited(&self.outcome);
        match why.is_empty() {
            true => outcome.name().to_owned(),
            false => format!("{}: {why}", outcome.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_proto::gateway::v1::Indeterminate;

    use super::*;

    fn failed(kind: FailureKind, message: &str) -> Outcome {
        outcome::failed_with("c".to_owned(), kind, message.to_owned())
    }

    fn told(away: bool, last: Outcome) -> (FailureKind, String) {
        let search = Search {
            tried: vec![Tried {
                resource: "r".to_owned(),
                outcome: last,
            }],
            away,
        };
        match search.told("c".to_owned()).result {
            Some(OutcomeResult::Failed(failure)) => (failure.kind(), failure.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_that_tells_of_an_account_is_told_to_who_has_not_its_password() {
        for away in [false, true] {
            let wrong = told(away, failed(FailureKind::BadCredentials, "wrong"));
            for kind in [
                FailureKind::NotFound,
                FailureKind::AccountLocked,
                FailureKind::AccountDisabled,
                FailureKind::Refused,
            ] {
                assert_eq!(told(away, failed(kind, "of its own")), wrong, "{kind:?}");
            }
            let expected = match away {
                true => FailureKind::Unavailable,
                false => FailureKind::BadCredentials,
            };
            assert_eq!(wrong.0, expected);
        }
        let expired = told(false, failed(FailureKind::PasswordExpired, "x"));
        assert_eq!(expired.0, FailureKind::PasswordExpired);
    }

    #[test]
    fn a_second_place_gets_the_password_only_where_the_first_certainly_had_none() {
        for (kind, goes_on) in [
            (FailureKind::NotFound, Next::AnotherDirectory),
            (FailureKind::Unavailable, Next::AnotherWay),
            (FailureKind::Busy, Next::AnotherWay),
            (FailureKind::BadCredentials, Next::Stop),
            (FailureKind::AccountLocked, Next::Stop),
            (FailureKind::Internal, Next::Stop),
        ] {
            assert_eq!(next(&failed(kind, ""), true), goes_on, "{kind:?}");
            // One of an earlier version says the same of what it has sent.
            assert_eq!(next(&failed(kind, ""), false), Next::Stop, "{kind:?}");
        }
        let unknown = Outcome {
            call_id: "c".to_owned(),
            result: Some(OutcomeResult::Indeterminate(Indeterminate::default())),
        };
        assert_eq!(next(&unknown, true), Next::Stop);
        let (kind, _) = told(false, unknown);
        assert_eq!(kind, FailureKind::Unavailable);
    }

    #[test]
    fn answers_that_take_a_different_time_leave_at_the_same_moment() {
        let asked = Instant::now();
        let at = |ms| next_step(asked, asked + Duration::from_millis(ms));
        for ms in [0, 1, 50, 499, 500] {
            assert_eq!(at(ms), asked + STEP, "{ms}");
        }
        for ms in [501, 700, 1_000] {
            assert_eq!(at(ms), asked + 2 * STEP, "{ms}");
        }
    }
}
