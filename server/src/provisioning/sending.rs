//! Sends queued calls, and writes what came of them.

use portcullis_host::clock;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, FailureKind, Outcome};
use prost::Message as _;
use tokio::task::JoinSet;

use super::describe::Described;
use super::entry::CallEntry;
use super::open_calls::{OpenCall, QUEUED};
use super::queue::RETRY;
use super::{DispatchError, Prepared, Provisioning, Ready, make_ready, outcome, password};
use crate::audit::{self, Draft, Subject};
use crate::fleet::{Attempt, Recipient};
use crate::repository::{
    AuditFields, Dispatched, PayloadError, QueuedCall, QueuedState, RepositoryError,
};

/// Queued calls under way through one gateway.
const AT_ONCE: usize = 8;
const TAKEN_OVER: &str = "a queued call was taken over by another instance of the server, which alone records what came of it";

/// Sends what waits for a gateway, until nothing does or it is away.
pub(super) async fn send_waiting(
    provisioning: &Provisioning,
    gateway: &str,
) -> Result<(), RepositoryError> {
    let queued = provisioning.repository.queued_calls();
    let mut under_way = JoinSet::new();
    let mut away = false;
    let mut failed = Ok(());
    loop {
        while !away && failed.is_ok() && under_way.len() < AT_ONCE {
            match queued.dispatch(gateway, clock::now()).await {
                Ok(Some(dispatched)) => {
                    provisioning.queue_changed();
                    under_way.spawn(carry_out(
                        provisioning.clone(),
                        gateway.to_owned(),
                        dispatched,
                    ));
                }
                Ok(None) => break,
                // Those under way come to their end first: what is sent must not lose its outcome.
                Err(error) => failed = Err(error),
            }
        }
        match under_way.join_next().await {
            None => return failed,
            Some(ended) => away |= matches!(ended, Ok(Progress::Away)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Ended,
    Away,
}

/// A call that has come to its end, which is not written yet.
struct Ended {
    outcome: Outcome,
    afterwards: Option<password::Afterwards>,
    entry: CallEntry,
}

pub(super) async fn carry_out(
    provisioning: Provisioning,
    gateway: String,
    dispatched: Dispatched,
) -> Progress {
    let Dispatched { call, payload } = dispatched;
    let wire = payload.map_err(|error| unsendable(&call.call_id, &error));
    let wire = wire.and_then(|payload| {
        let decoded = Call::decode(payload.bytes.as_slice());
        let decoded = decoded.map_err(|error| {
            let id = call.call_id.clone();
            outcome::failed_with(id, FailureKind::Internal, error.to_string())
        })?;
        Ok((
            Recipient::registration(&gateway, payload.gateway_id),
            decoded,
        ))
    });
    let ended = match wire {
        Err(outcome) => Some(Ended {
            outcome,
            afterwards: None,
            entry: entry(&provisioning, &call, &gateway, &Call::default()),
        }),
        Ok((to, wire)) => send(&provisioning, &to, &call, wire).await,
    };
    let progress = match ended {
        Some(ended) => {
            ended.record(&provisioning, &call).await;
            Progress::Ended
        }
        None => {
            put_back(&provisioning, &call.call_id).await;
            Progress::Away
        }
    };
    provisioning.queue_changed();
    progress
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

/// `None`: it certainly was not sent, and may be later.
async fn send(
    provisioning: &Provisioning,
    dispatched_for: &Recipient,
    call: &QueuedCall,
    wire: Call,
) -> Option<Ended> {
    let id = &call.call_id;
    let changes = wire.changes();
    let entry = entry(provisioning, call, dispatched_for.name(), &wire);
    let made_ready = make_ready(provisioning, &call.resource, wire, None).await;
    let outcome = match made_ready {
        // The resource has moved meanwhile, or its gateway was registered anew: the payload is not
        // for that place.
        Ok(Prepared::Ready(ready)) if ready.to != *dispatched_for => {
            entry.forget();
            return None;
        }
        Ok(Prepared::Ready(ready)) => {
            return match entry.sending(dispatched_for.name(), changes).await {
                Ok(entry) => attempt(provisioning, *ready, entry, changes).await,
                Err(error) => {
                    tracing::error!(call = id, %error, "a queued call waits: it could not be audited");
                    None
                }
            };
        }
        Ok(Prepared::Answered(outcome) | Prepared::Known(outcome)) => outcome,
        Err(DispatchError::UnknownResource(_)) => {
            let message = "the resource was removed before the call was sent";
            outcome::failed_with(id.clone(), FailureKind::NotFound, message.to_owned())
        }
        Err(error) => {
            tracing::error!(call = id, %error, "a queued call waits: it could not be made up");
            entry.forget();
            return None;
        }
    };
    Some(Ended {
        outcome,
        afterwards: None,
        entry,
    })
}

async fn attempt(
    provisioning: &Provisioning,
    ready: Ready,
    entry: CallEntry,
    changes: bool,
) -> Option<Ended> {
    let Ready {
        to,
        call,
        afterwards,
        ..
    } = ready;
    let (call_id, begun_ms) = (call.call_id.clone(), clock::now().0);
    let ended = |outcome, entry| {
        Some(Ended {
            outcome,
            afterwards: Some(afterwards),
            entry,
        })
    };
    let unsent = match provisioning.fleet.attempt(&to, call).await {
        Ok(Attempt::Ended(outcome)) => return ended(outcome, entry),
        Ok(Attempt::Lost(outcome)) => {
            if changes {
                provisioning.open.add(OpenCall {
                    gateway: to.name().to_owned(),
                    call_id,
                    begun_ms,
                    draft: entry.later(),
                    queued: true,
                    restarted: false,
                });
            }
            return ended(outcome, entry);
        }
        Ok(Attempt::Unsent(why)) => why,
        Err(error) => error.to_string(),
    };
    if entry.has_begun() {
        let why = format!("it was not sent, and waits on: {unsent}");
        entry.end(audit::Outcome::Failed, &why).await;
    } else {
        entry.forget();
    }
    None
}

async fn put_back(provisioning: &Provisioning, call_id: &str) {
    let queued = provisioning.repository.queued_calls();
    // Where that fails it stays dispatched, and is indeterminate when the server starts again.
    match queued.put_back(call_id).await {
        Ok(true) => {}
        Ok(false) => tracing::error!(call = call_id, "{TAKEN_OVER}"),
        Err(error) => tracing::error!(call = call_id, %error, "a queued call was not put back"),
    }
}

impl Ended {
    /// Writes what came of a call.
    async fn record(self, provisioning: &Provisioning, call: &QueuedCall) {
        let Self {
            outcome,
            afterwards,
            entry,
        } = self;
        if !store(provisioning, &call.call_id, &outcome).await {
            // Whoever took it over records, and audits, what came of it.
            return;
        }
        entry.outcome(&outcome).await;
        if let Some(afterwards) = afterwards {
            afterwards
                .carry_out(&provisioning.repository, &outcome)
                .await;
        }
    }
}

/// Stores what came of a call: as long as it takes, for until then no other goes to its resource.
/// False: another instance does, or the server stops.
async fn store(provisioning: &Provisioning, call_id: &str, outcome: &Outcome) -> bool {
    let (state, stored) = storable(outcome.clone());
    let queued = provisioning.repository.queued_calls();
    loop {
        let ended = queued.end(call_id, state, stored.clone(), clock::now());
        match ended.await {
            Ok(true) => return true,
            Ok(false) => {
                tracing::error!(call = call_id, "{TAKEN_OVER}");
                return false;
            }
            Err(RepositoryError::Closed) => return false,
            Err(error) => {
                tracing::error!(call = call_id, %error, "the outcome of a queued call is not stored yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// How the call stands, and its outcome without secrets.
pub(super) fn storable(mut outcome: Outcome) -> (QueuedState, Vec<u8>) {
    for secret in outcome.secrets_mut() {
        *secret = portcullis_proto::gateway::v1::Secret::default();
    }
    let state = match &outcome.result {
        Some(OutcomeResult::Done(_)) => QueuedState::Done,
        Some(OutcomeResult::Failed(_)) => QueuedState::Failed,
        Some(OutcomeResult::Indeterminate(_)) | None => QueuedState::Indeterminate,
    };
    (state, outcome.encode_to_vec())
}
