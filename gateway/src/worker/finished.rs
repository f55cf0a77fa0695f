//! What came of the last calls that may change something, for a server that does not know.
//!
//! In memory alone: a gateway that died knows nothing, and says nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_proto::gateway::v1 as wire;
use tokio::time::Instant;

use crate::model::{Done, Outcome};

/// Calls that are remembered.
const MAX_CALLS: usize = 4_096;
/// How long one is remembered.
const MAX_AGE: Duration = Duration::from_hours(24);
/// Letters of a message that are kept.
const MAX_MESSAGE: usize = 300;

type Key = (ServerId, Arc<str>);

/// The memory of one run of the gateway. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Finished(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    calls: HashMap<Key, Remembered>,
    /// In the order in which they came. One that was replaced is in it twice, with another time.
    order: VecDeque<(Key, Instant)>,
}

#[derive(Debug)]
struct Remembered {
    begun: Instant,
    /// `None`: it is under way.
    result: Option<wire::outcome::Result>,
}

/// A call under way. Dropped without its outcome, nobody knows what came of it.
#[derive(Debug)]
pub(super) struct Remembering {
    finished: Finished,
    key: Key,
    ended: bool,
}

impl Finished {
    /// Remembers that a call of this server begins. `None`: one of its id is under way.
    pub(super) fn begin(&self, server: ServerId, id: &str) -> Option<Remembering> {
        let key = (server, Arc::from(id));
        self.lock()
            .begin(&key, Instant::now())
            .then(|| Remembering {
                finished: self.clone(),
                key,
                ended: false,
            })
    }

    /// What is known of these calls of a server.
    pub(super) fn of(&self, server: ServerId, ids: &[String]) -> Vec<wire::FinishedCall> {
        let now = Instant::now();
        let memory = self.lock();
        let found = ids.iter().filter_map(|id| {
            let call = memory.calls.get(&(server, Arc::from(id.as_str())))?;
            let ago = now.saturating_duration_since(call.begun);
            (ago < MAX_AGE).then(|| wire::FinishedCall {
                outcome: Some(wire::Outcome {
                    call_id: id.clone(),
                    result: call.result.clone(),
                }),
                begun_ms_ago: u64::try_from(ago.as_millis()).unwrap_or(u64::MAX),
                unseen: false,
            })
        });
        found.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // Whole at every moment, whoever panicked meanwhile.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn begin(&mut self, key: &Key, now: Instant) -> bool {
        if let Some(former) = self.calls.get(key)
            && former.result.is_none()
        {
            return false;
        }
        let begun = Remembered {
            begun: now,
            result: None,
        };
        self.calls.insert(key.clone(), begun);
        self.order.push_back((key.clone(), now));
        self.forget(now);
        true
    }

    /// Forgets what is old or too much. One that is under way is remembered as long as it is, for
    /// calls under way have a limit of their own.
    fn forget(&mut self, now: Instant) {
        let mut kept = Vec::new();
        while let Some((key, begun)) = self.order.front() {
            let old = now.saturating_duration_since(*begun) >= MAX_AGE;
            if !old && self.order.len() + kept.len() <= MAX_CALLS {
                break;
            }
            let is_it = |call: &Remembered| call.begun == *begun;
            match self.calls.get(key).filter(|call| is_it(call)) {
                Some(call) if call.result.is_none() => kept.extend(self.order.pop_front()),
                Some(_) => {
                    self.calls.remove(key);
                    self.order.pop_front();
                }
                None => drop(self.order.pop_front()),
            }
        }
        for entry in kept.into_iter().rev() {
            self.order.push_front(entry);
        }
    }
}

impl Remembering {
    /// Remembers what came of it.
    pub(super) fn end(mut self, outcome: &Outcome) {
        self.ended = true;
        self.set(without_answer(outcome));
    }

    fn set(&self, result: wire::outcome::Result) {
        if let Some(call) = self.finished.lock().calls.get_mut(&self.key) {
            call.result = Some(result);
        }
    }
}

impl Drop for Remembering {
    fn drop(&mut self) {
        if !self.ended {
            let message = "the gateway failed while it carried out the call; its log says more";
            self.set(indeterminate(message));
        }
    }
}

/// The outcome without what the call answered, which may be long or a secret.
fn without_answer(outcome: &Outcome) -> wire::outcome::Result {
    use wire::outcome::Result;
    match outcome {
        Outcome::Done(done) => Result::Done(wire::Done {
            detail: match done {
                Done::Run(run) => Some(wire::done::Detail::Run(wire::RunResult {
                    exit_code: run.exit_code,
                    results: Vec::new(),
                })),
                Done::Nothing | Done::Object(_) | Done::Schema(_) | Done::Report(_) => None,
            },
        }),
        Outcome::Failed(failure) => Result::Failed(wire::Failure {
            kind: wire::FailureKind::from(failure.kind).into(),
            message: shortened(&failure.message),
            native: failure.native.clone().map(Into::into),
        }),
        Outcome::Indeterminate(why) => indeterminate(&why.message),
    }
}

fn indeterminate(message: &str) -> wire::outcome::Result {
    wire::outcome::Result::Indeterminate(wire::Indeterminate {
        message: shortened(message),
        ..wire::Indeterminate::default()
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Failure;

    fn server(byte: u8) -> ServerId {
        ServerId::from_array([byte; 16])
    }

    fn ask(finished: &Finished, of: u8, id: &str) -> Option<Option<wire::outcome::Result>> {
        let found = finished.of(server(of), &[id.to_owned()]).pop()?;
        Some(found.outcome.unwrap().result)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_learns_what_came_of_its_own_calls_and_of_no_others() {
        let finished = Finished::default();
        let one = finished.begin(server(1), "k").unwrap();
        assert!(finished.begin(server(1), "k").is_none());
        let other = finished.begin(server(2), "k").unwrap();
        assert_eq!(ask(&finished, 1, "k"), Some(None), "it is under way");
        tokio::time::advance(Duration::from_secs(2)).await;
        one.end(&Outcome::Done(Done::Report("left behind".to_owned())));
        other.end(&Outcome::Failed(Failure::not_found("gone")));
        let done = wire::outcome::Result::Done(wire::Done::default());
        assert_eq!(ask(&finished, 1, "k"), Some(Some(done)));
        let failed = ask(&finished, 2, "k").unwrap().unwrap();
        assert!(matches!(failed, wire::outcome::Result::Failed(_)));
        assert_eq!(ask(&finished, 1, "other"), None);
        let found = finished.of(server(1), &["k".to_owned()]);
        assert_eq!(found[0].begun_ms_ago, 2_000);

        drop(finished.begin(server(1), "broken"));
        let broken = ask(&finished, 1, "broken").unwrap().unwrap();
        assert!(matches!(broken, wire::outcome::Result::Indeterminate(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_bounded_and_keeps_what_is_under_way() {
        let finished = Finished::default();
        let slow = finished.begin(server(1), "slow").unwrap();
        for number in 0..3 * MAX_CALLS {
            // The same id again and again counts as well.
            let id = format!("{}", number % (2 * MAX_CALLS));
            let call = finished.begin(server(1), &id).unwrap();
            call.end(&Outcome::Done(Done::Nothing));
        }
        assert!(finished.lock().calls.len() <= MAX_CALLS);
        assert!(finished.lock().order.len() <= MAX_CALLS);
        assert_eq!(ask(&finished, 1, "slow"), Some(None));
        slow.end(&Outcome::Done(Done::Nothing));
        tokio::time::advance(MAX_AGE).await;
        assert_eq!(ask(&finished, 1, "slow"), None);
        drop(finished.begin(server(1), "new"));
        assert_eq!(finished.lock().calls.len(), 1);
    }
}
