//! Calls that wait for their gateway.

use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::gateway::v1::Outcome;
use prost::Message;
use tonic::{Request, Response, Status};

use super::audited_call::describe;
use super::convert::{millis, some_millis};
use super::error::{of_password, of_repository};
use super::note::Note;
use super::objects::password_of;
use crate::provisioning::queue::QueueError;
use crate::repository::{QueuedCall, QueuedState, RepositoryError};
use crate::services::Services;

/// Calls in one answer.
const MAX_PAGE: u32 = 1_000;

pub(crate) async fn enqueue(
    services: &Services,
    request: Request<proto::ExecuteRequest>,
) -> Result<Response<proto::QueuedCall>, Status> {
    let note = Note::of(&request);
    let proto::ExecuteRequest {
        resource,
        call,
        password_from_user,
    } = request.into_inner();
    let call = call.unwrap_or_default();
    let user = Some(password_from_user.as_str()).filter(|user| !user.is_empty());
    let (verb, object) = describe(&call);
    let summary = format!("{verb}{object}{}", password_of(&password_from_user));
    let queued = services
        .queue
        .enqueue(&resource, call, user, summary)
        .await
        .map_err(|error| of_queue(&error))?;
    note.add(format!("{}, call {}", queued.summary, queued.call_id));
    message(queued)
}

pub(crate) async fn list(
    services: &Services,
    request: &proto::ListQueuedRequest,
) -> Result<Response<proto::ListQueuedResponse>, Status> {
    let limit = match request.limit {
        0 => MAX_PAGE,
        limit => limit.min(MAX_PAGE),
    };
    let queued = services.repository.queued_calls();
    let mut found = queued
        .list(request.all, request.after, limit + 1)
        .await
        .map_err(|error| of_repository(&error))?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let calls = found.into_iter().map(convert).collect::<Result<_, _>>()?;
    Ok(Response::new(proto::ListQueuedResponse { calls, more }))
}

pub(crate) async fn show(
    services: &Services,
    call_id: &str,
) -> Result<Response<proto::QueuedCall>, Status> {
    let queued = services.repository.queued_calls();
    let found = queued.find(call_id).await;
    let found = found.map_err(|error| of_repository(&error))?;
    found.map_or_else(|| Err(unknown(call_id)), message)
}

pub(crate) async fn cancel(
    services: &Services,
    call_id: &str,
) -> Result<Response<proto::QueuedCall>, Status> {
    let queued = services.repository.queued_calls();
    let call = match queued.cancel(call_id, clock::now()).await {
        Ok(call) => call,
        Err(RepositoryError::NotFound { .. }) => return Err(unknown(call_id)),
        Err(error) => return Err(of_repository(&error)),
    };
    match call.state {
        QueuedState::Cancelled => message(call),
        QueuedState::Dispatched => Err(Status::failed_precondition(format!(
            "call `{call_id}` is under way: it cannot be taken back any more"
        ))),
        _ => Err(Status::failed_precondition(format!(
            "call `{call_id}` has ended already: `portcullis call show {call_id}` tells how"
        ))),
    }
}

fn message(call: QueuedCall) -> Result<Response<proto::QueuedCall>, Status> {
    convert(call).map(Response::new)
}

fn convert(call: QueuedCall) -> Result<proto::QueuedCall, Status> {
    let outcome = call
        .outcome
        .map(|bytes| Outcome::decode(bytes.as_slice()))
        .transpose()
        .map_err(|_| of_repository(&RepositoryError::Damaged("unreadable outcome".to_owned())))?;
    Ok(proto::QueuedCall {
        call_id: call.call_id,
        resource: call.resource,
        summary: call.summary,
        state: state(call.state).into(),
        queued_unix_ms: millis(call.queued),
        expires_unix_ms: millis(call.expires),
        dispatched_unix_ms: some_millis(call.dispatched),
        ended_unix_ms: some_millis(call.ended),
        outcome,
        sequence: call.sequence,
    })
}

const fn state(state: QueuedState) -> proto::QueuedState {
    match state {
        QueuedState::Waiting => proto::QueuedState::Waiting,
        QueuedState::Dispatched => proto::QueuedState::Dispatched,
        QueuedState::Done => proto::QueuedState::Done,
        QueuedState::Failed => proto::QueuedState::Failed,
        QueuedState::Indeterminate => proto::QueuedState::Indeterminate,
        QueuedState::Cancelled => proto::QueuedState::Cancelled,
        QueuedState::Expired => proto::QueuedState::Expired,
    }
}

fn unknown(call_id: &str) -> Status {
    Status::not_found(format!(
        "no call `{call_id}` was queued here, or it ended so long ago that it was forgotten: `portcullis call list --all` shows those there are"
    ))
}

fn of_queue(error: &QueueError) -> Status {
    match error {
        QueueError::Malformed(message) => Status::invalid_argument(message.clone()),
        QueueError::OtherCall(_) => Status::already_exists(error.to_string()),
        QueueError::Full { .. } => Status::resource_exhausted(error.to_string()),
        QueueError::Password(error) => of_password(error),
        QueueError::Repository(error) => of_repository(error),
    }
}
