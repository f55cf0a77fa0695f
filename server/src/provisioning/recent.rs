//! The direct calls of the last time, by their ids: the same one again is answered as the first,
//! and another one under the same id is refused. In memory alone.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, Outcome, Secret};
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::Instant;

use super::contents::{ContentsKey, Digest};

/// Calls that are remembered.
const MAX_CALLS: usize = 4_096;
/// How long one is remembered once it has ended.
const MAX_AGE: Duration = Duration::from_hours(1);
/// Bytes of an answer that is kept; a longer one is kept without its detail.
const MAX_ANSWER: usize = 4_096;

/// Another call has this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OtherContents;

/// The calls of the last time. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct RecentCalls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: ContentsKey,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    by_id: HashMap<String, Recent>,
    /// Those that have ended, in that order. One that was made anew is in it twice.
    ended: VecDeque<(String, Instant)>,
}

#[derive(Debug)]
struct Recent {
    digest: Digest,
    outcome: watch::Sender<Option<Outcome>>,
    ended: Option<Instant>,
}

/// What is to be done for a call.
#[derive(Debug)]
pub(super) enum Claim {
    /// It is to be carried out.
    New(Claimed),
    /// It is under way or was carried out: its outcome, once there is one.
    Same(watch::Receiver<Option<Outcome>>),
}

/// The id of a call that is carried out. Dropped without an outcome, it is free again.
#[derive(Debug)]
pub(super) struct Claimed {
    calls: RecentCalls,
    id: String,
    ended: bool,
}

impl RecentCalls {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            key: ContentsKey::random(),
            calls: Mutex::default(),
        }))
    }

    /// Claims the id of a call that may change something.
    pub(super) fn claim(
        &self,
        resource: &str,
        call: &Call,
        from_user: Option<&str>,
    ) -> Result<Claim, OtherContents> {
        let digest = self.0.key.digest(resource, call, from_user);
        let mut calls = self.lock();
        calls.forget(Instant::now());
        match calls.by_id.get(&call.call_id) {
            Some(recent) if recent.digest != digest => return Err(OtherContents),
            Some(recent) if !recent.may_be_made_again() => {
                return Ok(Claim::Same(recent.outcome.subscribe()));
            }
            Some(_) | None => {}
        }
        let recent = Recent {
            digest,
            outcome: watch::Sender::new(None),
            ended: None,
        };
        calls.by_id.insert(call.call_id.clone(), recent);
        Ok(Claim::New(Claimed {
            calls: self.clone(),
            id: call.call_id.clone(),
            ended: false,
        }))
    }

    /// Whether a call of this id is known. An error: another one.
    pub(super) fn check(
        &self,
        resource: &str,
        call: &Call,
        from_user: Option<&str>,
    ) -> Result<bool, OtherContents> {
        let mut calls = self.lock();
        calls.forget(Instant::now());
        match calls.by_id.get(&call.call_id) {
            None => Ok(false),
            Some(recent) if recent.digest == self.0.key.digest(resource, call, from_user) => {
                Ok(true)
            }
            Some(_) => Err(OtherContents),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        // Whole at every moment, whoever panicked meanwhile.
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn forget(&mut self, now: Instant) {
        while let Some((id, ended)) = self.ended.front() {
            let old = now.saturating_duration_since(*ended) >= MAX_AGE;
            if !old && self.ended.len() <= MAX_CALLS {
                return;
            }
            if self
                .by_id
                .get(id)
                .is_some_and(|it| it.ended == Some(*ended))
            {
                self.by_id.remove(id);
            }
            self.ended.pop_front();
        }
    }
}

impl Recent {
    /// What failed changed nothing.
    fn may_be_made_again(&self) -> bool {
        let outcome = self.outcome.borrow();
        let result = outcome.as_ref().and_then(|outcome| outcome.result.as_ref());
        matches!(result, Some(OutcomeResult::Failed(_)))
    }
}

impl Claimed {
    /// Remembers what came of it, and tells those who wait.
    pub(super) fn end(mut self, outcome: &Outcome) {
        self.ended = true;
        let now = Instant::now();
        let mut calls = self.calls.lock();
        if let Some(recent) = calls.by_id.get_mut(&self.id) {
            recent.ended = Some(now);
            recent.outcome.send_replace(Some(remembered(outcome)));
        }
        calls.ended.push_back((self.id.clone(), now));
        calls.forget(now);
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.ended {
            self.calls.lock().by_id.remove(&self.id);
        }
    }
}

/// What is kept of an outcome: no secret, and nothing long.
fn remembered(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    for secret in outcome.secrets_mut() {
        *secret = Secret::default();
    }
    if outcome.encoded_len() > MAX_ANSWER
        && let Some(OutcomeResult::Done(done)) = &mut outcome.result
    {
        done.detail = None;
    }
    outcome
}

#[cfg(test)]
mod tests {
    use portcullis_proto::gateway::v1::call::Verb;
    use portcullis_proto::gateway::v1::{Done, Failure, Indeterminate, Run};

    use super::*;

    fn run(id: &str, action: &str) -> Call {
        Call {
            call_id: id.to_owned(),
            verb: Some(Verb::Run(Run {
                action: action.to_owned(),
                arguments: Vec::new(),
            })),
            ..Call::default()
        }
    }

    fn outcome(result: OutcomeResult) -> Outcome {
        Outcome {
            call_id: "k".to_owned(),
            result: Some(result),
        }
    }

    fn claimed(claim: Result<Claim, OtherContents>) -> Claimed {
        match claim {
            Ok(Claim::New(claimed)) => claimed,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_same_call_joins_and_another_one_is_refused() {
        let recent = RecentCalls::new();
        let claim = |id, action| recent.claim("a", &run(id, action), None);
        let first = claimed(claim("k", "x"));
        let Ok(Claim::Same(mut joined)) = claim("k", "x") else {
            panic!("made twice");
        };
        assert!(matches!(claim("k", "y"), Err(OtherContents)));
        assert!(matches!(
            recent.claim("b", &run("k", "x"), None),
            Err(OtherContents)
        ));
        let done = outcome(OutcomeResult::Done(Done::default()));
        first.end(&done);
        assert_eq!(
            joined.wait_for(Option::is_some).await.unwrap().as_ref(),
            Some(&done)
        );
        let Ok(Claim::Same(joined)) = claim("k", "x") else {
            panic!("made twice");
        };
        assert_eq!(joined.borrow().as_ref(), Some(&done));
        assert!(matches!(claim("k", "y"), Err(OtherContents)));
        // Nobody knows of this one, so it is not made again either.
        let lost = claimed(claim("lost", "x"));
        lost.end(&outcome(OutcomeResult::Indeterminate(
            Indeterminate::default(),
        )));
        assert!(matches!(claim("lost", "x"), Ok(Claim::Same(_))));
    }

    #[tokio::test]
    async fn what_failed_or_was_not_sent_may_be_made_again_but_not_as_another() {
        let recent = RecentCalls::new();
        let claim = |action| recent.claim("a", &run("k", action), None);
        drop(claimed(claim("x")));
        claimed(claim("y")).end(&outcome(OutcomeResult::Failed(Failure::default())));
        assert!(matches!(claim("x"), Err(OtherContents)));
        drop(claimed(claim("y")));
    }

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let recent = RecentCalls::new();
        let done = outcome(OutcomeResult::Done(Done::default()));
        for number in 0..2 * MAX_CALLS {
            claimed(recent.claim("a", &run(&number.to_string(), "x"), None)).end(&done);
        }
        assert!(recent.lock().by_id.len() <= MAX_CALLS + 1);
        recent.lock().forget(Instant::now() + MAX_AGE);
        assert!(recent.lock().by_id.is_empty());
    }
}
