//! A call that may be carried out, from then to its outcome.

use std::collections::HashSet;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout_at};

use super::call_log::{Logged, panicked_while, summary};
use super::guarded::Guarded;
use crate::journal::Claim;
use crate::model::{Call, CallId, Evidence, Failure, Outcome, Verb};

/// Of the calls under way.
pub(super) type Ids = Mutex<HashSet<Arc<str>>>;

/// A call that may be carried out.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) guarded: Arc<Guarded>,
    pub(super) call: Call,
    pub(super) deadline: Instant,
    pub(super) permit: OwnedSemaphorePermit,
    /// The call keeps its id taken.
    pub(super) in_flight: Option<InFlight>,
}

impl Admitted {
    pub(super) async fn carry_out(self, claim: Option<Claim>) -> Outcome {
        let verb = self.call.request.verb();
        let id = self.call.id.clone();
        let mut work = Box::pin(AssertUnwindSafe(self.work(claim)).catch_unwind());
        let at_once = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
        let outcome = match at_once {
            // Many a call is done at once.
            Poll::Ready(outcome) => outcome.ok(),
            Poll::Pending if verb.changes() => to_its_end(work, id.clone(), verb).await,
            // It ends as soon as nobody waits for it.
            Poll::Pending => work.await.ok(),
        };
        outcome.unwrap_or_else(|| panicked_while(id.as_str(), verb.changes()))
    }

    /// Looks for what became of the call, which keeps its place among those that are carried out
    /// meanwhile.
    pub(super) async fn look(self, before: &Evidence) -> Outcome {
        let looking = self.guarded.look(self.call, self.deadline, before);
        Box::pin(looking).await
    }

    async fn work(self, claim: Option<Claim>) -> Outcome {
        let Self {
            guarded,
            call,
            deadline,
            permit,
            in_flight,
        } = self;
        let verb = call.request.verb();
        let logged = Logged::new(&call);
        let outcome = if verb.changes() {
            guarded.change(call, deadline, claim).await
        } else {
            let slow = "the resource did not answer in the time that the call may take";
            timeout_at(deadline, guarded.carry_out(call, deadline))
                .await
                .unwrap_or_else(|_| Err(Failure::unavailable(slow).into()))
                .into()
        };
        if let Some(logged) = logged {
            logged.ended(&outcome);
        }
        drop((permit, in_flight));
        outcome
    }
}

/// Carries a change on in a task of its own, so that it comes to its end whoever waits for it.
/// `None`: the gateway stops.
async fn to_its_end<F>(work: F, id: CallId, verb: Verb) -> Option<Outcome>
where
    F: Future<Output = std::thread::Result<Outcome>> + Send + 'static,
{
    let (answer, outcome) = oneshot::channel();
    tokio::spawn(async move {
        let panicked = |_| panicked_while(id.as_str(), verb.changes());
        let outcome = work.await.unwrap_or_else(panicked);
        if let Err(outcome) = answer.send(outcome) {
            tracing::warn!(call = %id, %verb, result = summary(&outcome), "the caller went away; the call was carried to its end");
        }
    });
    outcome.await.ok()
}

/// Keeps a call's id taken while it is under way.
#[derive(Debug)]
pub(super) struct InFlight {
    ids: Arc<Ids>,
    id: Arc<str>,
}

impl InFlight {
    /// # Errors
    /// Another call has this id.
    pub(super) fn new(ids: &Arc<Ids>, id: &str) -> Result<Self, Failure> {
        let call: Arc<str> = id.into();
        let mut taken = ids.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.insert(Arc::clone(&call)) {
            return Err(Failure::invalid(format!(
                "a call with the id `{id}` is under way already: wait for its outcome, or give this one an id of its own"
            )));
        }
        Ok(Self {
            ids: Arc::clone(ids),
            id: call,
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut taken = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.id);
    }
}
