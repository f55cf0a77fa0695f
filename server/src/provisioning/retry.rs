//! What a person does about a call that came to no good end: it is made again under another id, or
//! settled by what he has seen.

use portcullis_proto::gateway::v1::done::Detail;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, Done, FailureKind, Outcome};
use portcullis_watch::traces::Trace;
use prost::Message as _;
use zeroize::Zeroizing;

use super::lanes::lanes;
use super::queue::{CallQueue, QueueError};
use super::sent::end_of;
use super::{Provisioning, look, outcome, trace_id, with_id};
use crate::repository::{
    Enqueued, NewQueuedCall, PayloadError, QueuedCall, QueuedState, RepositoryError,
};

/// Why a call was not made again, or not settled. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such call.
    #[error("no call `{0}` is known here")]
    Unknown(String),
    /// It stands in a way that does not allow it.
    #[error("{0}")]
    State(String),
    /// What was sent is not to be had.
    #[error("call `{id}` cannot be made again: {why}")]
    Payload {
        /// The call.
        id: String,
        /// Why not, and what to do.
        why: String,
    },
    /// It was not queued.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<RepositoryError> for ChangeError {
    fn from(error: RepositoryError) -> Self {
        Self::Queue(error.into())
    }
}

/// What a person says came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It was carried out.
    Done,
    /// It was not, and nothing has changed.
    Failed,
}

/// Queues once more, under an id of its own, what failed or is indeterminate.
///
/// # Errors
/// [`ChangeError`].
pub async fn retry(
    queue: &CallQueue,
    call_id: &str,
    trace: &Trace,
) -> Result<QueuedCall, ChangeError> {
    let provisioning = queue.provisioning();
    let calls = provisioning.repository.queued_calls();
    let call = find(provisioning, call_id).await?;
    let may_be = matches!(call.state, QueuedState::Failed | QueuedState::Indeterminate);
    if !may_be {
        return Err(ChangeError::State(format!(
            "call `{call_id}` has neither failed nor is it indeterminate: only such a call is made again"
        )));
    }
    let not = |why: String| ChangeError::Payload {
        id: call_id.to_owned(),
        why,
    };
    let payload = match calls.payload(&call).await? {
        Some(Ok(payload)) => payload,
        Some(Err(PayloadError::Missing { .. })) => {
            let why = "what was sent is not kept any more, or was for another gateway: make the call anew";
            return Err(not(why.to_owned()));
        }
        Some(Err(error)) => return Err(not(error.to_string())),
        None => return Err(not("its server key is not here now".to_owned())),
    };
    let again = Call::decode(payload.bytes.as_slice()).map_err(|error| not(error.to_string()))?;
    let again = with_id(Call {
        call_id: String::new(),
        traceparent: trace.traceparent(),
        ..again
    });
    let now = provisioning.time.now();
    let new = NewQueuedCall {
        call_id: again.call_id.clone(),
        resource: call.resource.clone(),
        summary: call.summary.clone(),
        lanes: lanes(&again),
        payload: Zeroizing::new(again.encode_to_vec()),
        queued: now,
        expires: now.plus(queue.lifetime()),
        digest: provisioning.digest(&call.resource, &again, None).await?,
        direct: None,
        after: None,
        retry_of: Some(call.call_id),
        trace_id: trace_id(&again),
    };
    match queue.put(new).await? {
        Enqueued::New(call) => Ok(call),
        Enqueued::Full { gateway } => Err(queue.full(gateway).into()),
        // Its id is random.
        Enqueued::Existing(_) | Enqueued::Moved => Err(RepositoryError::Closed.into()),
    }
}

/// Settles a call of which nobody knows what came, as a person says who has looked.
///
/// # Errors
/// [`ChangeError`].
pub async fn resolve(
    provisioning: &Provisioning,
    call_id: &str,
    as_what: Resolution,
    who: &str,
    reason: &str,
) -> Result<QueuedCall, ChangeError> {
    let told = format!("as {who} says: {reason}");
    let outcome = match as_what {
        Resolution::Done => Outcome {
            call_id: call_id.to_owned(),
            result: Some(OutcomeResult::Done(Done {
                detail: Some(Detail::Report(told)),
            })),
        },
        Resolution::Failed => outcome::failed_with(call_id.to_owned(), FailureKind::NotBegun, told),
    };
    // From the payload, which goes as the call is settled.
    let row = find(provisioning, call_id).await?;
    let afterwards = look::afterwards(provisioning, &row).await;
    let calls = provisioning.repository.queued_calls();
    let mut end = end_of(provisioning, &outcome);
    end.keeps_payload = false;
    match calls.resolve(call_id, end).await {
        Ok(true) => {}
        Ok(false) => {
            return Err(ChangeError::State(format!(
                "it is known what came of call `{call_id}`, or it has not been sent: only one that is indeterminate or unknown is settled by hand"
            )));
        }
        Err(RepositoryError::NotFound { .. }) => {
            return Err(ChangeError::Unknown(call_id.to_owned()));
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(afterwards) = afterwards {
        let repository = &provisioning.repository;
        afterwards.carry_out(repository, &outcome).await;
    }
    provisioning.turn.notify_one();
    provisioning.queue_changed();
    find(provisioning, call_id).await
}

async fn find(provisioning: &Provisioning, call_id: &str) -> Result<QueuedCall, ChangeError> {
    let found = provisioning.repository.queued_calls().find(call_id).await?;
    found.ok_or_else(|| ChangeError::Unknown(call_id.to_owned()))
}
