//! Makes the calls on one object, in their order, and keeps what it was told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_proto::admin::v1 as admin;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, FailureKind, Outcome};
use portcullis_tests::harness::Admin;
use tokio::sync::watch;

use super::schedule::{Action, Schedule, Step, Way};

/// How long a call may take, with all that breaks meanwhile.
const PATIENCE: Duration = Duration::from_secs(240);
/// Before a caller asks again who had no answer.
const PAUSE: Duration = Duration::from_millis(60);

/// One call that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) step: Step,
    /// What callers of it were told, in any order.
    pub(super) told: Vec<Outcome>,
}

/// All calls on one object.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) schedule: Schedule,
    pub(super) made: Vec<Made>,
    /// Promises that were broken under way.
    pub(super) broken: Vec<String>,
}

/// Makes calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) admin: Admin,
    /// Counts the calls that were made.
    pub(super) progress: Arc<watch::Sender<usize>>,
}

/// Why there is no outcome.
enum NoOutcome {
    /// The server was away.
    Nothing,
    /// It refused the call as such.
    Refused(String),
}

impl Caller {
    /// Makes all calls of a schedule.
    pub(super) async fn make_all(self, mut schedule: Schedule) -> Lane {
        let steps = std::mem::take(&mut schedule.steps);
        let mut lane = Lane {
            schedule,
            made: Vec::new(),
            broken: Vec::new(),
        };
        // Queued calls that nobody has waited for.
        let mut open = Vec::new();
        for step in steps {
            let call = step.call(&lane.schedule.resource, &lane.schedule.subject);
            let mut told = Vec::new();
            let made = match step.way {
                Way::Queued => {
                    open.push(step.id.clone());
                    self.enqueue(&lane, &call).await
                }
                Way::Direct | Way::Twice => {
                    if matches!(step.action, Action::Get(_)) {
                        lane.wait(&self, &mut open).await;
                    }
                    self.execute_twice(&lane, &step, &call, &mut told).await
                }
            };
            if let Err(why) = made {
                lane.broken.push(format!("call {}: {why}", step.id));
            }
            if step.again {
                lane.wait(&self, &mut open).await;
                if let Err(why) = self.execute(&lane, &call, &mut told).await {
                    let why = format!("call {}, made once more: {why}", step.id);
                    lane.broken.push(why);
                }
            }
            lane.made.push(Made { step, told });
            self.progress.send_modify(|count| *count += 1);
        }
        lane.wait(&self, &mut open).await;
        lane
    }

    async fn execute_twice(
        &self,
        lane: &Lane,
        step: &Step,
        call: &Call,
        told: &mut Vec<Outcome>,
    ) -> Result<(), String> {
        if step.way != Way::Twice {
            return self.execute(lane, call, told).await;
        }
        let (first, second) = tokio::join!(self.execute(lane, call, told), self.once(lane, call));
        told.extend(second.ok());
        first
    }

    /// Makes a direct call until there is an outcome.
    async fn execute(
        &self,
        lane: &Lane,
        call: &Call,
        told: &mut Vec<Outcome>,
    ) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match self.once(lane, call).await {
                Ok(outcome) => {
                    let ended = is_final(&outcome, call.changes());
                    let is_open = matches!(outcome.result, Some(OutcomeResult::Indeterminate(_)));
                    told.push(outcome);
                    if ended && is_open {
                        return self.ended(&call.call_id).await;
                    }
                    if ended {
                        return Ok(());
                    }
                }
                Err(NoOutcome::Nothing) => {}
                Err(NoOutcome::Refused(why)) => return Err(why),
            }
            tokio::time::sleep(PAUSE).await;
        }
        let last = told.last();
        Err(format!("it came to no outcome, and last to {last:?}"))
    }

    async fn once(&self, lane: &Lane, call: &Call) -> Result<Outcome, NoOutcome> {
        let resource = lane.schedule.resource.name;
        let asked = self.admin.try_call(resource, call.clone());
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(status)) => Err(refused(&status)),
            Err(_) => Err(NoOutcome::Refused("it had no answer at all".to_owned())),
        }
    }

    /// Queues a call, however often it has to be said.
    async fn enqueue(&self, lane: &Lane, call: &Call) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let request = admin::ExecuteRequest {
                resource: lane.schedule.resource.name.to_owned(),
                call: Some(call.clone()),
                ..Default::default()
            };
            match self.admin.calls().enqueue(request).await {
                Ok(_) => return Ok(()),
                Err(status) => match refused(&status) {
                    NoOutcome::Nothing => tokio::time::sleep(PAUSE).await,
                    NoOutcome::Refused(why) => return Err(why),
                },
            }
        }
        Err("it could not be queued".to_owned())
    }

    /// Waits until a call that was accepted has ended.
    async fn ended(&self, call_id: &str) -> Result<(), String> {
        let began = Instant::now();
        let mut last = String::from("nothing was seen of it");
        while began.elapsed() < PATIENCE {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match tokio::time::timeout(left, self.follow(call_id, &mut last)).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Err(NoOutcome::Refused(why))) => {
                    return Err(format!("it was accepted, and is lost: {why}"));
                }
                Ok(Ok(false) | Err(NoOutcome::Nothing)) => tokio::time::sleep(PAUSE).await,
                Err(_) => break,
            }
        }
        Err(format!("it was accepted, and has no end: {last}"))
    }

    /// Follows a call; true: it has ended.
    async fn follow(&self, call_id: &str, last: &mut String) -> Result<bool, NoOutcome> {
        let request = admin::WatchQueuedRequest {
            call_id: call_id.to_owned(),
        };
        let watched = self.admin.calls().watch_queued(request).await;
        let mut states = watched.map_err(|status| refused(&status))?.into_inner();
        while let Ok(Some(call)) = states.message().await {
            if has_ended(&call) {
                return Ok(true);
            }
            let since = |then: i64| then.saturating_sub(call.queued_unix_ms);
            *last = format!(
                "{:?}, attempt {}, sent {} ms after it was accepted, next at {} ms; before: {:?}",
                call.state(),
                call.attempt,
                since(call.dispatched_unix_ms),
                since(call.next_attempt_unix_ms),
                call.last_attempt,
            );
        }
        Ok(false)
    }
}

impl Lane {
    /// Waits for the calls of which nobody has waited for the end.
    async fn wait(&mut self, caller: &Caller, open: &mut Vec<String>) {
        for id in std::mem::take(open) {
            if let Err(why) = caller.ended(&id).await {
                self.broken.push(format!("call {id}: {why}"));
            }
        }
    }
}

/// Whether the call is over, for good or for now.
fn is_final(outcome: &Outcome, changes: bool) -> bool {
    match &outcome.result {
        Some(OutcomeResult::Failed(failure)) => !is_passing(failure.kind()),
        Some(OutcomeResult::Done(_)) => true,
        Some(OutcomeResult::Indeterminate(_)) | None => changes,
    }
}

/// Nothing was begun, and the same call again may be.
pub(super) const fn is_passing(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Unavailable | FailureKind::Busy)
}

pub(super) fn has_ended(call: &admin::QueuedCall) -> bool {
    use admin::QueuedState as State;
    matches!(
        call.state(),
        State::Done | State::Failed | State::Indeterminate | State::Cancelled | State::Expired
    )
}

/// The codes of a connection that was lost or not made, and of a server that cannot just now.
fn refused(status: &tonic::Status) -> NoOutcome {
    use tonic::Code;
    match status.code() {
        Code::Unavailable
        | Code::Unknown
        | Code::Cancelled
        | Code::Internal
        | Code::ResourceExhausted => NoOutcome::Nothing,
        _ => NoOutcome::Refused(format!("the server says: {status}")),
    }
}
