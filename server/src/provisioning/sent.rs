//! A call that is marked as dispatched: sent, and what came of it recorded.

use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{FailureKind, Outcome, Secret};
use prost::Message as _;

use super::entry::CallEntry;
use super::{Afterwards, Provisioning, Ready, journals, outcome};
use crate::audit;
use crate::fleet::Attempt;
use crate::repository::{
    EndOf, QueuedCall, QueuedState, RepositoryError, WaitsAgain, tell_refusal,
};

/// Bytes of a stored outcome; a longer one is stored without its detail.
const MAX_STORED: usize = 64 * 1024;

/// What came of sending a call.
pub(super) enum Came {
    /// It came to an end.
    Ended(Box<Outcome>, Afterwards),
    /// Nobody knows, for this reason.
    Lost(String),
    /// It certainly was not sent.
    Unsent(String),
}

/// Sends a call.
pub(super) async fn send(provisioning: &Provisioning, row: &QueuedCall, ready: Ready) -> Came {
    let Ready {
        to,
        mut call,
        mapping,
        afterwards,
    } = ready;
    call.call_id.clone_from(&row.call_id);
    let accepted = provisioning.time.now().0.saturating_sub(row.queued.0);
    call.accepted_ms_ago = accepted;
    let again = journals::again(row);
    match provisioning.fleet.attempt_again(&to, call, again).await {
        // Nobody could look at the resource just now: that is done later.
        Ok(Attempt::Ended(Outcome {
            result: Some(OutcomeResult::Indeterminate(it)),
            ..
        })) if it.look_again => Came::Lost(it.message),
        Ok(Attempt::Ended(mut outcome)) => {
            outcome.call_id.clone_from(&row.call_id);
            mapping.answer(&mut outcome);
            Came::Ended(Box::new(outcome), afterwards)
        }
        Ok(Attempt::Lost(lost)) => {
            let why = match lost.result {
                Some(OutcomeResult::Indeterminate(it)) => it.message,
                _ => String::new(),
            };
            Came::Lost(why)
        }
        Ok(Attempt::Unsent(why)) => Came::Unsent(why),
        Err(error) => Came::Unsent(error.to_string()),
    }
}

/// Records what came of a call, with its audit entry.
pub(super) async fn record_end(
    provisioning: &Provisioning,
    row: &QueuedCall,
    entry: CallEntry,
    outcome: &Outcome,
) {
    let end = end_of(provisioning, outcome);
    let calls = provisioning.repository.queued_calls();
    let (work, told) = match calls.end(&row.call_id, end) {
        Ok(work) => work,
        Err(error) => return not_recorded(row, &error),
    };
    entry
        .outcome_with(&provisioning.repository, outcome, work)
        .await;
    if told.take().is_some_and(|ended| ended.others_wait) {
        provisioning.turn.notify_one();
    }
    provisioning.ended.notify_one();
    provisioning.queue_changed();
}

/// Records that nobody knows what came of a call: its gateway is asked when it is back.
pub(super) async fn record_lost(
    provisioning: &Provisioning,
    row: &QueuedCall,
    entry: CallEntry,
    why: &str,
) {
    let (work, _) = match provisioning
        .repository
        .queued_calls()
        .lose(&row.call_id, why)
    {
        Ok(work) => work,
        Err(error) => return not_recorded(row, &error),
    };
    let unknown = audit::Outcome::Unknown;
    entry
        .end_with(&provisioning.repository, unknown, why, work)
        .await;
    provisioning.open.lost(&row.gateway);
    provisioning.queue_changed();
}

/// Has a call wait again that certainly was not begun.
pub(super) async fn record_waits(
    provisioning: &Provisioning,
    row: &QueuedCall,
    entry: CallEntry,
    again: WaitsAgain,
    why: &str,
) {
    let calls = provisioning.repository.queued_calls();
    let is_timed = again.next.is_some();
    let (work, _) = match calls.wait_again(row, again) {
        Ok(work) => work,
        Err(error) => return not_recorded(row, &error),
    };
    let failed = audit::Outcome::Failed;
    entry
        .end_with(&provisioning.repository, failed, why, work)
        .await;
    if is_timed {
        // Until then there may be nothing else to wake for.
        provisioning.turn.notify_one();
    }
    provisioning.queue_changed();
}

fn not_recorded(row: &QueuedCall, error: &RepositoryError) {
    tell_refusal!(
        error,
        call = row.call_id,
        "what came of a call was not recorded"
    );
}

/// What is stored of an outcome: no secret, and nothing that is very long.
pub(super) fn end_of(provisioning: &Provisioning, outcome: &Outcome) -> EndOf {
    let mut outcome = outcome.clone();
    for secret in outcome.secrets_mut() {
        *secret = Secret::default();
    }
    if outcome.encoded_len() > MAX_STORED
        && let Some(OutcomeResult::Done(done)) = &mut outcome.result
    {
        done.detail = None;
    }
    let state = match &outcome.result {
        Some(OutcomeResult::Done(_)) => QueuedState::Done,
        Some(OutcomeResult::Failed(_)) => QueuedState::Failed,
        Some(OutcomeResult::Indeterminate(_)) | None => QueuedState::Indeterminate,
    };
    EndOf {
        state,
        outcome: outcome.encode_to_vec(),
        keeps_payload: state != QueuedState::Done,
        now: provisioning.time.now(),
    }
}

/// The outcome of a call that was not sent.
pub(super) fn unsent(row: &QueuedCall, why: String) -> Outcome {
    outcome::failed_with(row.call_id.clone(), FailureKind::Unavailable, why)
}
