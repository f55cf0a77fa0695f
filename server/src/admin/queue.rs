//! Calls that wait for their gateway.

use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::gateway::v1::Outcome;
use prost::Message;

use super::audited_call::{describe, password_of};
use super::context::Context;
use super::convert::{millis, some_millis};
use super::error::AdminError;
use super::request::{About, FromMessage, Front, Method, Request, change, read};
use crate::config::Capability::Operator;
use crate::repository::{QueuedCall, QueuedState, RepositoryError};

/// Calls in one answer.
const MAX_PAGE: u32 = 1_000;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<Enqueue>();
    front.offer::<proto::ListQueuedRequest>();
    front.offer::<proto::ShowQueuedRequest>();
    front.offer::<proto::CancelQueuedRequest>();
}

/// `Calls.Enqueue`
#[derive(Debug)]
pub(crate) struct Enqueue(proto::ExecuteRequest);

impl Request for Enqueue {
    type Answer = proto::QueuedCall;

    const METHOD: Method = change("Calls/Enqueue", &[Operator]);

    fn about(&self) -> About {
        let Self(request) = self;
        let password = password_of(&request.password_from_user);
        let call = request.call.as_ref().map(|call| call.call_id.as_str());
        let more = format!("{password}, call {}", call.unwrap_or_default());
        About::resource(&request.resource).shown_with(&more)
    }

    async fn run(self, context: &Context) -> Result<proto::QueuedCall, AdminError> {
        let proto::ExecuteRequest {
            resource,
            call,
            password_from_user,
        } = self.0;
        let user = context
            .password_of_user(Self::METHOD, &password_from_user)
            .await?;
        let call = call.unwrap_or_default();
        let (verb, object) = describe(&call);
        let summary = format!("{verb}{object}{}", password_of(&password_from_user));
        let queue = &context.services.queue;
        let queued = queue.enqueue(&resource, call, user, summary).await?;
        context
            .note
            .add(format!("{}, call {}", queued.summary, queued.call_id));
        message(queued)
    }
}

impl FromMessage for Enqueue {
    type Message = proto::ExecuteRequest;

    fn from_message(message: Self::Message) -> Self {
        Self(message)
    }
}

impl Request for proto::ListQueuedRequest {
    type Answer = proto::ListQueuedResponse;

    const METHOD: Method = read("Calls/ListQueued", &[Operator]);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListQueuedResponse, AdminError> {
        let limit = match self.limit {
            0 => MAX_PAGE,
            limit => limit.min(MAX_PAGE),
        };
        let queued = context.services.repository.queued_calls();
        let mut found = queued.list(self.all, self.after, limit + 1).await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let calls = found.into_iter().map(message).collect::<Result<_, _>>()?;
        Ok(proto::ListQueuedResponse { calls, more })
    }
}

impl Request for proto::ShowQueuedRequest {
    type Answer = proto::QueuedCall;

    const METHOD: Method = read("Calls/ShowQueued", &[Operator]);

    fn about(&self) -> About {
        About::queued_call(&self.call_id)
    }

    async fn run(self, context: &Context) -> Result<proto::QueuedCall, AdminError> {
        let queued = context.services.repository.queued_calls();
        let found = queued.find(&self.call_id).await?;
        found.map_or_else(|| Err(unknown(&self.call_id)), message)
    }
}

impl Request for proto::CancelQueuedRequest {
    type Answer = proto::QueuedCall;

    const METHOD: Method = change("Calls/CancelQueued", &[Operator]);

    fn about(&self) -> About {
        About::queued_call(&self.call_id)
    }

    async fn run(self, context: &Context) -> Result<proto::QueuedCall, AdminError> {
        let call_id = &self.call_id;
        let queued = context.services.repository.queued_calls();
        let call = match queued.cancel(call_id, clock::now()).await {
            Ok(call) => call,
            Err(RepositoryError::NotFound { .. }) => return Err(unknown(call_id)),
            Err(error) => return Err(error.into()),
        };
        match call.state {
            QueuedState::Cancelled => message(call),
            QueuedState::Dispatched => Err(AdminError::Precondition(format!(
                "call `{call_id}` is under way: it cannot be taken back any more"
            ))),
            _ => Err(AdminError::Precondition(format!(
                "call `{call_id}` has ended already: `portcullis call show {call_id}` tells how"
            ))),
        }
    }
}

fn message(call: QueuedCall) -> Result<proto::QueuedCall, AdminError> {
    let outcome = call
        .outcome
        .map(|bytes| Outcome::decode(bytes.as_slice()))
        .transpose()
        .map_err(|_| RepositoryError::Damaged("unreadable outcome".to_owned()))?;
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

fn unknown(call_id: &str) -> AdminError {
    AdminError::NotFound(format!(
        "no call `{call_id}` was queued here, or it ended so long ago that it was forgotten: `portcullis call list --all` shows those there are"
    ))
}
