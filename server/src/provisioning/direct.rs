//! Direct calls that may change something: accepted and begun in one transaction, sent, and what
//! came of them recorded in another.

use std::time::Duration;

use portcullis_proto::gateway::v1::{Call, FailureKind, Outcome};
use prost::Message as _;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::describe::Described;
use super::entry::{CallEntry, alone};
use super::known::{self, Asked, Known, is_passing, join, look_up};
use super::sent::{self, Came, end_of, record_end, record_lost};
use super::{
    DispatchError, Form, Prepared, Provisioning, Ready, lanes, make_ready, outcome, trace_id,
};
use crate::audit::{self, AuditError};
use crate::repository::{
    Enqueued, NewQueuedCall, QueuedCall, QueuedState, RepositoryError, tell_refusal,
};

/// How long a call waits for its turn that does not say how long it may take.
const PATIENCE: Duration = Duration::from_mins(1);
const UNAUDITED: &str = "its entry in the audit log was not written: nothing was sent";
const UNREADABLE: &str = "its record could not be read: nothing was sent";

/// A direct call that may change something, as its caller asks for it.
#[derive(Debug)]
pub struct Direct {
    /// The resource.
    pub resource: String,
    /// The call, with an id.
    pub call: Call,
    /// The password that it sets is that of this user.
    pub from_user: Option<String>,
}

/// Carries a call out, and writes its entries. Whatever concerns the call itself is in the outcome.
/// One that has the id and the contents of one that is under way, or was carried out, has the
/// outcome of that one.
///
/// # Errors
/// [`DispatchError`].
pub async fn carry_out(
    provisioning: &Provisioning,
    direct: Direct,
    entry: CallEntry,
) -> Result<Outcome, DispatchError> {
    let mut entry = Some(entry);
    let done = attempt(provisioning, direct, &mut entry).await;
    if let (Err(error), Some(entry)) = (&done, entry) {
        entry.end(audit::Outcome::Failed, &error.to_string()).await;
    }
    done
}

/// What `entry` holds at the end is still to be written.
async fn attempt(
    provisioning: &Provisioning,
    direct: Direct,
    entry: &mut Option<CallEntry>,
) -> Result<Outcome, DispatchError> {
    let Direct {
        resource,
        call,
        from_user,
    } = direct;
    let digest = provisioning.digest(&resource, &call, from_user.as_deref());
    let digest = digest.await?;
    let asked = Asked {
        resource: &resource,
        call: &call,
        from_user: from_user.as_deref(),
        digest: &digest,
    };
    // Most calls are new. The transaction that accepts one finds that out: what is known of the id
    // is read before only where it is not new, or where the call as it is cannot be sent.
    let mut looks = false;
    loop {
        let known = match looks {
            true => look_up(provisioning, asked).await?,
            false => Known::New,
        };
        let after = match known {
            Known::New => None,
            Known::After(attempt) => Some(attempt),
            Known::Same(row) => match join(provisioning, &row.call_id).await? {
                None => continue,
                Some(outcome) => {
                    if let Some(entry) = entry.take() {
                        entry.known(&outcome).await;
                    }
                    return Ok(outcome);
                }
            },
        };
        let made = make_ready(
            provisioning,
            &resource,
            call.clone(),
            asked.from_user,
            Form::Given,
        );
        let ready = match made.await {
            Ok(Prepared::Ready(ready)) => ready,
            _ if !looks => {
                looks = true;
                continue;
            }
            Ok(Prepared::Answered(outcome)) => {
                if let Some(entry) = entry.take() {
                    entry.outcome(&outcome).await;
                }
                return Ok(outcome);
            }
            Err(error) => return Err(error),
        };
        let on = Described::new(&resource, &ready.call, asked.from_user.unwrap_or_default());
        *entry = entry.take().map(|entry| entry.on(on));
        let new = new_call(provisioning, asked, &ready, after);
        match accept(provisioning, new, ready.gateway(), entry).await? {
            Enqueued::New(row) if row.state == QueuedState::Dispatched => {
                return Ok(send(provisioning, &row, *ready, entry).await);
            }
            Enqueued::New(row) => return wait_for_turn(provisioning, row, *ready, entry).await,
            // Somebody else was first, or the resource has just moved: it is looked at once more.
            Enqueued::Existing(_) | Enqueued::Moved | Enqueued::Full { .. } => looks = true,
        }
    }
}

fn new_call(
    provisioning: &Provisioning,
    asked: Asked<'_>,
    ready: &Ready,
    after: Option<u32>,
) -> NewQueuedCall {
    let mut payload = ready.call.clone();
    // The resource's, as they are when it is looked at or made again.
    payload.settings.clear();
    payload.secret_settings.clear();
    let now = provisioning.time.now();
    NewQueuedCall {
        call_id: payload.call_id.clone(),
        resource: asked.resource.to_owned(),
        summary: Described::summary(asked.call, asked.from_user.unwrap_or_default()),
        lanes: lanes::lanes(&payload),
        payload: Zeroizing::new(payload.encode_to_vec()),
        queued: now,
        expires: now.plus(patience(&payload).as_millis() as u64),
        digest: asked.digest.to_vec(),
        direct: ready.to.id().map(|id| (ready.to.name().to_owned(), id)),
        after,
        retry_of: None,
        trace_id: trace_id(&payload),
    }
}

fn patience(call: &Call) -> Duration {
    match call.timeout_ms {
        0 => PATIENCE,
        timeout => Duration::from_millis(timeout.into()),
    }
}

/// Accepts a call, in one transaction with its entry `begun` where it leaves at once.
async fn accept(
    provisioning: &Provisioning,
    new: NewQueuedCall,
    gateway: &str,
    entry: &mut Option<CallEntry>,
) -> Result<Enqueued, DispatchError> {
    let repository = &provisioning.repository;
    let (work, told) = repository.queued_calls().accept(new)?;
    let Some(opened) = entry.take() else {
        return Err(DispatchError::Stopping);
    };
    match opened.begin(repository, gateway, work).await {
        Ok(begun) => *entry = Some(begun),
        Err(error) => {
            // It may stand there all the same, and is not sent.
            if let Some(Enqueued::New(row)) = told.take() {
                give_up(provisioning, &row, UNAUDITED).await;
            }
            return Err(of_audit(error));
        }
    }
    let accepted = told.take().ok_or(DispatchError::Stopping)?;
    provisioning.queue_changed();
    Ok(accepted)
}

fn of_audit(error: AuditError) -> DispatchError {
    match error {
        AuditError::Repository(error) => match &*error {
            RepositoryError::NotFound { name, .. } => DispatchError::UnknownResource(name.clone()),
            _ => DispatchError::Audit(AuditError::Repository(error)),
        },
        error => DispatchError::Audit(error),
    }
}

/// Ends a call that is accepted and will not be sent. Where that fails it is tried again until it
/// is done: no other call goes to its object before.
async fn give_up(provisioning: &Provisioning, row: &QueuedCall, why: &str) {
    let end = end_of(provisioning, &sent::unsent(row, why.to_owned()));
    let calls = provisioning.repository.queued_calls();
    let work = match row.state {
        QueuedState::Dispatched => calls.end(&row.call_id, end).map(|(work, _)| work),
        _ => calls.refuse(row, end).map(|(work, _)| work),
    };
    if let Ok(work) = work
        && let Err(error) = provisioning.repository.alone(work.clone()).await
    {
        tell_refusal!(
            error,
            call = row.call_id,
            "a call that was not sent is not ended yet"
        );
        let provisioning = provisioning.clone();
        tokio::spawn(async move {
            alone(&provisioning.repository, work).await;
            others_may_go(&provisioning);
        });
    }
    others_may_go(provisioning);
}

/// A call on an object does not wait any more, behind which others may.
fn others_may_go(provisioning: &Provisioning) {
    provisioning.turn.notify_one();
    provisioning.queue_changed();
}

/// Sends a call that is marked as dispatched.
async fn send(
    provisioning: &Provisioning,
    row: &QueuedCall,
    ready: Ready,
    entry: &mut Option<CallEntry>,
) -> Outcome {
    let came = sent::send(provisioning, row, ready).await;
    let entry = entry
        .take()
        .unwrap_or_else(|| CallEntry::none(&provisioning.audit));
    match came {
        Came::Ended(outcome, afterwards) => {
            let repository = &provisioning.repository;
            afterwards.carry_out(repository, &outcome).await;
            record_end(provisioning, row, entry, &outcome).await;
            *outcome
        }
        Came::Unsent(why) => {
            let outcome = sent::unsent(row, why);
            record_end(provisioning, row, entry, &outcome).await;
            outcome
        }
        Came::Lost(why) => {
            record_lost(provisioning, row, entry, &why).await;
            let told = known::will_be_looked_at(&row.call_id, &why);
            outcome::indeterminate(row.call_id.clone(), &told)
        }
    }
}

/// Waits until no earlier call on its object waits or is under way, and sends it then.
async fn wait_for_turn(
    provisioning: &Provisioning,
    row: QueuedCall,
    ready: Ready,
    entry: &mut Option<CallEntry>,
) -> Result<Outcome, DispatchError> {
    let until = Instant::now() + patience(&ready.call);
    let mut changes = provisioning.queue_changes();
    let calls = provisioning.repository.queued_calls();
    let row = loop {
        changes.mark_unchanged();
        let found = calls.find(&row.call_id).await?;
        let waits = |found: &QueuedCall| found.state == QueuedState::Waiting;
        if !found.as_ref().is_some_and(waits) {
            let why = known::taken_back(found.as_ref());
            return Ok(not_sent(entry, sent::unsent(&row, why)).await);
        }
        if calls.is_turn(&row.call_id).await?
            && let Some(claimed) = claim(provisioning, &row, ready.gateway(), entry).await?
        {
            break claimed;
        }
        match timeout_at(until, changes.changed()).await {
            Ok(Ok(())) if changes.borrow().is_some() => {}
            Ok(_) => return Err(DispatchError::Stopping),
            Err(_) => return give_up_waiting(provisioning, &row, entry).await,
        }
    };
    calls.waits_no_more(&row);
    Ok(send(provisioning, &row, ready, entry).await)
}

async fn claim(
    provisioning: &Provisioning,
    row: &QueuedCall,
    gateway: &str,
    entry: &mut Option<CallEntry>,
) -> Result<Option<QueuedCall>, DispatchError> {
    let repository = &provisioning.repository;
    let calls = repository.queued_calls();
    let (work, told) = calls.claim(row, gateway, provisioning.time.now())?;
    let Some(opened) = entry.take() else {
        return Err(DispatchError::Stopping);
    };
    let begun = opened.begin(repository, gateway, work).await;
    let claimed = told.take().is_some();
    match begun {
        Ok(begun) => *entry = Some(begun),
        Err(error) => {
            let dispatched = QueuedState::Dispatched;
            let state = if claimed { dispatched } else { row.state };
            let row = QueuedCall {
                state,
                ..row.clone()
            };
            give_up(provisioning, &row, UNAUDITED).await;
            return Err(of_audit(error));
        }
    }
    if !claimed {
        return Ok(None);
    }
    match calls.find(&row.call_id).await {
        Ok(found) => Ok(found),
        Err(error) => {
            let state = QueuedState::Dispatched;
            let row = QueuedCall {
                state,
                ..row.clone()
            };
            give_up(provisioning, &row, UNREADABLE).await;
            Err(error.into())
        }
    }
}

async fn give_up_waiting(
    provisioning: &Provisioning,
    row: &QueuedCall,
    entry: &mut Option<CallEntry>,
) -> Result<Outcome, DispatchError> {
    let why = "another call on the same object has not ended, or nobody knows yet what came of it: nothing was sent; `portcullis call list` shows it";
    let outcome = outcome::failed_with(row.call_id.clone(), FailureKind::Busy, why.to_owned());
    let end = end_of(provisioning, &outcome);
    let (work, _) = provisioning.repository.queued_calls().refuse(row, end)?;
    if let Some(entry) = entry.take() {
        entry
            .outcome_with(&provisioning.repository, &outcome, work)
            .await;
    }
    others_may_go(provisioning);
    Ok(outcome)
}

async fn not_sent(entry: &mut Option<CallEntry>, outcome: Outcome) -> Outcome {
    if let Some(entry) = entry.take() {
        entry.outcome(&outcome).await;
    }
    outcome
}

/// Whether the outcome says that nothing was begun, and that it may be later.
pub(super) fn may_be_tried_again(outcome: &Outcome) -> bool {
    use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
    matches!(&outcome.result, Some(OutcomeResult::Failed(failure)) if is_passing(failure.kind()))
}
