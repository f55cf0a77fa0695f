//! Whether a call is known: the same one again joins the one that is under way, or has what came of
//! it; another one under its id is refused.

use std::time::Duration;

use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, FailureKind, Outcome};
use prost::Message as _;
use tokio::time::timeout;

use super::describe::Described;
use super::{DispatchError, Provisioning, outcome};
use crate::repository::{QueuedCall, QueuedState};

/// How often a call that is under way is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is known of a call before it is accepted.
#[derive(Debug)]
pub(super) enum Known {
    /// There is none of its id.
    New,
    /// It is the same, and failed for the moment: it may be made again after this attempt.
    After(u32),
    /// It is the same.
    Same(Box<QueuedCall>),
}

/// What is asked for under an id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) resource: &'a str,
    pub(super) call: &'a Call,
    pub(super) from_user: Option<&'a str>,
    /// Its keyed digest.
    pub(super) digest: &'a [u8],
}

/// Looks for a call of the id that is `asked` for.
///
/// # Errors
/// [`DispatchError::OtherCall`] where there is another one.
pub(super) async fn look_up(
    provisioning: &Provisioning,
    asked: Asked<'_>,
) -> Result<Known, DispatchError> {
    let calls = provisioning.repository.queued_calls();
    let Some(found) = calls.find(&asked.call.call_id).await? else {
        return Ok(Known::New);
    };
    compare(asked, &found)?;
    Ok(match may_be_made_again(&found) {
        true => Known::After(found.attempt),
        false => Known::Same(Box::new(found)),
    })
}

/// # Errors
/// [`DispatchError::OtherCall`] where the two are not the same.
pub(super) fn compare(asked: Asked<'_>, found: &QueuedCall) -> Result<(), DispatchError> {
    let summary = Described::summary(asked.call, asked.from_user.unwrap_or_default());
    let same = match &found.digest {
        Some(before) => before == asked.digest,
        // Queued by an earlier version.
        None => found.resource == asked.resource && found.summary == summary,
    };
    if same {
        return Ok(());
    }
    let differs = if found.resource != asked.resource {
        format!("it was on resource `{}`", found.resource)
    } else if found.summary != summary {
        format!("it was: {}", found.summary)
    } else {
        "its values or its password were others".to_owned()
    };
    Err(DispatchError::OtherCall {
        id: found.call_id.clone(),
        how: match found.direct {
            true => "made",
            false => "queued",
        },
        differs,
    })
}

/// What failed for the moment changed nothing, and no word on the call is final by it.
fn may_be_made_again(call: &QueuedCall) -> bool {
    call.state == QueuedState::Failed
        && matches!(
            stored(call).and_then(|outcome| outcome.result),
            Some(OutcomeResult::Failed(failure)) if is_passing(failure.kind())
        )
}

/// Nothing was begun, and later it may be.
pub(super) const fn is_passing(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Unavailable | FailureKind::Busy)
}

/// The outcome of a call that is the same as one that is there, once there is one.
///
/// # Errors
/// [`DispatchError::Queued`] where it waits in the queue, `TakenBack` where it did; `None`: it was
/// forgotten meanwhile.
pub(super) async fn join(
    provisioning: &Provisioning,
    call_id: &str,
) -> Result<Option<Outcome>, DispatchError> {
    let mut changes = provisioning.queue_changes();
    loop {
        changes.mark_unchanged();
        let found = provisioning.repository.queued_calls().find(call_id).await?;
        let Some(found) = found else {
            return Ok(None);
        };
        match found.state {
            QueuedState::Done | QueuedState::Failed | QueuedState::Indeterminate => {
                return Ok(Some(told(&found)));
            }
            QueuedState::Unknown => return Ok(Some(not_yet_known(&found))),
            QueuedState::Cancelled | QueuedState::Expired if found.direct => {
                let why = taken_back(Some(&found));
                let id = found.call_id;
                return Ok(Some(outcome::failed_with(
                    id,
                    FailureKind::Unavailable,
                    why,
                )));
            }
            QueuedState::Waiting if !found.direct => {
                return Err(DispatchError::Queued(found.call_id));
            }
            QueuedState::Cancelled | QueuedState::Expired => {
                return Err(DispatchError::TakenBack(found.call_id));
            }
            QueuedState::Waiting | QueuedState::Dispatched => {}
        }
        // Another server's changes wake nobody here.
        let changed = timeout(LOOK_AGAIN, changes.changed()).await;
        // The server stops.
        if matches!(changed, Ok(Err(_))) || changes.borrow().is_none() {
            return Err(DispatchError::Stopping);
        }
    }
}

/// What its caller is told of a call that waited for its turn and will not be sent.
pub(super) fn taken_back(call: Option<&QueuedCall>) -> String {
    let why = call.and_then(|call| call.why.as_deref());
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    format!("the call was taken back while it waited for its turn{why}")
}

/// What is told of a call that has ended.
fn told(call: &QueuedCall) -> Outcome {
    let id = call.call_id.clone();
    if let Some(fault) = &call.fault {
        return outcome::indeterminate(id, fault);
    }
    stored(call)
        .unwrap_or_else(|| outcome::indeterminate(id, "what came of it is stored unreadably"))
}

fn stored(call: &QueuedCall) -> Option<Outcome> {
    let stored = call.outcome.as_deref()?;
    Outcome::decode(stored).ok()
}

/// What is told of a call of which nobody knows yet what came.
pub(super) fn not_yet_known(call: &QueuedCall) -> Outcome {
    let why = call.why.as_deref().unwrap_or_default();
    outcome::indeterminate(call.call_id.clone(), &will_be_looked_at(&call.call_id, why))
}

/// Why nobody knows, and how it is told later.
pub(super) fn will_be_looked_at(call_id: &str, why: &str) -> String {
    format!(
        "{why}; once its gateway is back, `portcullis call wait {call_id}` tells what came of it"
    )
}
