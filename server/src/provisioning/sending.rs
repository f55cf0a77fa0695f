//! Sends queued calls, each in its turn.

use std::collections::HashSet;
use std::time::Duration;

use portcullis_common::rotation::UnixMillis;
use portcullis_proto::gateway::v1::{Call, FailureKind, Outcome};
use prost::Message as _;
use tokio::task::JoinSet;

use super::describe::Described;
use super::direct::may_be_tried_again;
use super::entry::{CallEntry, alone};
use super::sent::{self, Came, end_of, record_end, record_lost, record_waits};
use super::{DispatchError, Form, Prepared, Provisioning, Ready, make_ready, outcome};
use crate::audit::{self, Draft, Subject};
use crate::fleet::Recipient;
use crate::repository::{
    AuditFields, Dispatched, PayloadError, QueuedCall, RepositoryError, WaitsAgain, tell_refusal,
};

/// Queued calls under way through one gateway.
const AT_ONCE: usize = 8;
/// How long a call waits after its first attempt; each time twice as long …
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// What the action of a queued call begins with.
const QUEUED: &str = "queued call ";

/// Sends what waits for a gateway, until nothing does, it is away, or this server is drained.
pub(super) async fn send_waiting(
    provisioning: &Provisioning,
    gateway: &str,
) -> Result<(), RepositoryError> {
    let calls = provisioning.repository.queued_calls();
    let mut under_way = JoinSet::new();
    let mut sending = HashSet::new();
    let mut away = false;
    let mut failed = Ok(());
    loop {
        away |= provisioning.fleet.is_drained();
        if !away && failed.is_ok() && sending.len() < AT_ONCE {
            let limit = AT_ONCE + sending.len();
            match calls.next(gateway, provisioning.time.now(), limit).await {
                Ok(found) => {
                    for dispatched in found {
                        let number = dispatched.call.sequence;
                        if sending.len() >= AT_ONCE || !sending.insert(number) {
                            continue;
                        }
                        let sent = carry_out(provisioning.clone(), gateway.to_owned(), dispatched);
                        under_way.spawn(async move { (number, sent.await) });
                    }
                }
                // Those under way come to their end first: what is sent must not lose its outcome.
                Err(error) => failed = Err(error),
            }
        }
        match under_way.join_next().await {
            None => return failed,
            Some(Ok((number, progress))) => {
                sending.remove(&number);
                away |= progress == Progress::Away;
            }
            Some(Err(_)) => away = true,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Ended,
    Away,
}

pub(super) async fn carry_out(
    provisioning: Provisioning,
    gateway: String,
    dispatched: Dispatched,
) -> Progress {
    let Dispatched { call, payload } = dispatched;
    let wire = payload.map_err(|error| Box::new(unsendable(&call.call_id, &error)));
    let wire = wire.and_then(|payload| {
        let decoded = Call::decode(payload.bytes.as_slice());
        let decoded = decoded.map_err(|error| {
            let id = call.call_id.clone();
            let message = error.to_string();
            Box::new(outcome::failed_with(id, FailureKind::Internal, message))
        })?;
        Ok((
            Recipient::registration(&gateway, payload.gateway_id),
            decoded,
        ))
    });
    match wire {
        Err(outcome) => {
            let entry = entry(&provisioning, &call, &gateway, &Call::default());
            refuse(&provisioning, &call, entry, &outcome).await
        }
        Ok((to, wire)) => send(&provisioning, &to, call, wire).await,
    }
}

/// What came of a call whose payload is not to be had: nothing was sent, as far as is known.
fn unsendable(call_id: &str, error: &PayloadError) -> Outcome {
    let (id, message) = (call_id.to_owned(), error.to_string());
    let kind = match error {
        PayloadError::Tampered(_) => {
            tracing::error!(call = call_id, %error, "a queued call is not sent");
            return outcome::indeterminate(id, &message);
        }
        PayloadError::Elsewhere { .. } => FailureKind::Unavailable,
        PayloadError::Missing { .. } | PayloadError::Changed(_) | PayloadError::Open(_) => {
            FailureKind::Internal
        }
    };
    outcome::failed_with(id, kind, message)
}

/// The entries of a queued call in the audit log.
pub(super) fn entry(
    provisioning: &Provisioning,
    call: &QueuedCall,
    gateway: &str,
    wire: &Call,
) -> CallEntry {
    CallEntry::new(&provisioning.audit, || draft(call, gateway, wire))
}

/// What the audit log says of a queued call.
pub(super) fn draft(call: &QueuedCall, gateway: &str, wire: &Call) -> Draft {
    let fields = AuditFields {
        call_id: call.call_id.clone(),
        gateway: gateway.to_owned(),
        ..Described::new(&call.resource, wire, "").fields
    };
    let action = format!("{QUEUED}{}", Described::stored(&call.summary, wire));
    let object = format!("resource {}", call.resource);
    let draft = Draft::new(Subject::server(), &action, &object, audit::Outcome::Unknown);
    draft.about(fields)
}

/// Ends a call that is never sent.
async fn refuse(
    provisioning: &Provisioning,
    call: &QueuedCall,
    entry: CallEntry,
    outcome: &Outcome,
) -> Progress {
    let mut end = end_of(provisioning, outcome);
    end.keeps_payload = false;
    match provisioning.repository.queued_calls().refuse(call, end) {
        Ok((work, _)) => {
            let repository = &provisioning.repository;
            entry.outcome_with(repository, outcome, work).await;
        }
        Err(error) => {
            tell_refusal!(error, call = call.call_id, "a queued call waits");
            entry.forget();
            return Progress::Away;
        }
    }
    provisioning.repository.queued_calls().waits_no_more(call);
    provisioning.queue_changed();
    Progress::Ended
}

async fn send(
    provisioning: &Provisioning,
    meant_for: &Recipient,
    call: QueuedCall,
    wire: Call,
) -> Progress {
    let id = &call.call_id;
    let changes = wire.changes();
    let entry = entry(provisioning, &call, meant_for.name(), &wire);
    match make_ready(provisioning, &call.resource, wire, None, Form::Mapped).await {
        // The resource has moved meanwhile, or its gateway was registered anew: the payload is not
        // for that place.
        Ok(Prepared::Ready(ready)) if ready.to != *meant_for => {
            entry.forget();
            Progress::Away
        }
        Ok(Prepared::Ready(ready)) => {
            claim_and_send(provisioning, call, *ready, entry, changes).await
        }
        Ok(Prepared::Answered(outcome)) => refuse(provisioning, &call, entry, &outcome).await,
        Err(DispatchError::UnknownResource(_)) => {
            let message = "the resource was removed before the call was sent";
            let outcome =
                outcome::failed_with(id.clone(), FailureKind::NotFound, message.to_owned());
            refuse(provisioning, &call, entry, &outcome).await
        }
        Err(error) => {
            tell_refusal!(
                error,
                call = id,
                "a queued call waits: it could not be made up"
            );
            entry.forget();
            Progress::Away
        }
    }
}

/// Marks a call as dispatched, in one transaction with its entry `begun`, and sends it.
async fn claim_and_send(
    provisioning: &Provisioning,
    call: QueuedCall,
    ready: Ready,
    entry: CallEntry,
    changes: bool,
) -> Progress {
    let repository = &provisioning.repository;
    let calls = repository.queued_calls();
    let (gateway, now) = (ready.gateway().to_owned(), provisioning.time.now());
    let (work, told) = match calls.claim(&call, &gateway, now) {
        Ok(work) => work,
        Err(error) => {
            tell_refusal!(error, call = call.call_id, "a queued call waits");
            entry.forget();
            return Progress::Away;
        }
    };
    let begun = match changes {
        true => entry.begin(repository, &gateway, work).await,
        false => match repository.alone(work).await {
            Ok(_) => Ok(entry),
            Err(error) => Err(error.into()),
        },
    };
    let claimed = told.take().is_some();
    let entry = match begun {
        Ok(entry) if claimed => entry,
        Ok(entry) => {
            entry.forget();
            return Progress::Ended;
        }
        Err(error) => {
            tell_refusal!(
                error,
                call = call.call_id,
                "a queued call waits: it could not be audited"
            );
            if claimed && let Ok((work, _)) = calls.wait_again(&call, WaitsAgain::default()) {
                alone(repository, work).await;
            }
            return Progress::Away;
        }
    };
    calls.waits_no_more(&call);
    provisioning.queue_changed();
    let row = QueuedCall { gateway, ..call };
    attempt(provisioning, row, ready, entry, changes).await
}

async fn attempt(
    provisioning: &Provisioning,
    row: QueuedCall,
    ready: Ready,
    entry: CallEntry,
    changes: bool,
) -> Progress {
    match sent::send(provisioning, &row, ready).await {
        Came::Ended(outcome, afterwards) => {
            if may_be_tried_again(&outcome)
                && let Some(next) = next_attempt(provisioning, &row)
            {
                let why = super::describe::audited(&outcome).1;
                let why = format!("{why} (it is tried again after a while)");
                let waits = WaitsAgain {
                    was_sent: true,
                    next: Some(next),
                    outcome: Some(end_of(provisioning, &outcome).outcome),
                };
                wait(provisioning, &row, (entry, changes), waits, &why).await;
                return Progress::Ended;
            }
            let repository = &provisioning.repository;
            afterwards.carry_out(repository, &outcome).await;
            record_end(provisioning, &row, entry, &outcome).await;
            Progress::Ended
        }
        Came::Lost(why) if changes => {
            record_lost(provisioning, &row, entry, &why).await;
            Progress::Ended
        }
        // What only reads may be read again.
        Came::Lost(why) => {
            let waits = WaitsAgain {
                was_sent: true,
                next: Some(provisioning.time.now().plus(wait_after(row.attempt))),
                outcome: None,
            };
            wait(provisioning, &row, (entry, changes), waits, &why).await;
            Progress::Away
        }
        Came::Unsent(why) => {
            let why = format!("it was not sent, and waits on: {why}");
            let waits = WaitsAgain::default();
            wait(provisioning, &row, (entry, changes), waits, &why).await;
            Progress::Away
        }
    }
}

/// Of the attempt that comes to nothing, what only reads leaves no entry.
async fn wait(
    provisioning: &Provisioning,
    row: &QueuedCall,
    (entry, changes): (CallEntry, bool),
    waits: WaitsAgain,
    why: &str,
) {
    let entry = match changes {
        true => entry,
        false => {
            entry.forget();
            CallEntry::none(&provisioning.audit)
        }
    };
    record_waits(provisioning, row, entry, waits, why).await;
}

/// When a call is tried again; `None`: its time is over before.
fn next_attempt(provisioning: &Provisioning, row: &QueuedCall) -> Option<UnixMillis> {
    let next = provisioning.time.now().plus(wait_after(row.attempt));
    (next < row.expires).then_some(next)
}

/// How long a call waits after so many attempts, in milliseconds.
fn wait_after(attempts: u32) -> u64 {
    let doubled = attempts.saturating_sub(1).min(16);
    let wait = FIRST_WAIT.saturating_mul(1 << doubled);
    wait.min(LONGEST_WAIT).as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_waits_twice_as_long_up_to_five_minutes() {
        let waits: Vec<_> = [1, 2, 3, 8, 9, 400].map(wait_after).into();
        assert_eq!(waits, [2_000, 4_000, 8_000, 256_000, 300_000, 300_000]);
    }
}
