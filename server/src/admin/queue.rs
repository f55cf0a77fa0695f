//! Calls that may change something, and what was queued: how they stand, and what a person does
//! about them.

use futures_util::{future, stream};
use portcullis_common::rotation::UnixMillis;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::gateway::v1::Outcome;
use prost::Message;

use super::calls;
use super::context::Context;
use super::convert::{millis, some_millis};
use super::error::AdminError;
use super::request::{About, FromMessage, Front, Messages, Method, Request, change, read};
use crate::access::Target;
use crate::audit::{self, Draft};
use crate::config::Capability::{self, Auditor, Operator};
use crate::provisioning::describe::Described;
use crate::provisioning::{self, Resolution, ServerTime, outcome};
use crate::repository::{AuditFields, QueuedCall, QueuedFilter, QueuedState, RepositoryError};

/// Calls in one answer.
const MAX_PAGE: u32 = 1_000;

const LOOK: &[Capability] = &[Operator, Auditor];

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<Enqueue>();
    front.offer::<proto::ListQueuedRequest>();
    front.offer::<proto::ShowQueuedRequest>();
    front.offer::<proto::WatchQueuedRequest>();
    front.offer::<proto::CancelQueuedRequest>();
    front.offer::<proto::CancelManyQueuedRequest>();
    front.offer::<proto::RetryRequest>();
    front.offer::<proto::ResolveRequest>();
}

/// `Calls.Enqueue`
#[derive(Debug)]
pub(crate) struct Enqueue(proto::ExecuteRequest);

impl Request for Enqueue {
    type Answer = proto::QueuedCall;

    const METHOD: Method = change("Calls/Enqueue", &[Operator]);

    fn about(&self) -> About {
        calls::about(&self.0)
    }

    async fn run(self, context: &Context) -> Result<proto::QueuedCall, AdminError> {
        let (_, shown) = self.about().into_parts();
        let proto::ExecuteRequest {
            resource,
            call,
            password_from_user,
        } = self.0;
        let user = context
            .password_of_user(Self::METHOD, &password_from_user, &shown)
            .await?;
        let call = calls::with_id(context, call);
        let summary = Described::summary(&call, &password_from_user);
        let queue = &context.services.queue;
        let queued = queue.enqueue(&resource, call, user, summary).await?;
        context
            .note
            .add(format!("{}, call {}", queued.summary, queued.call_id));
        message(context, queued)
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

    const METHOD: Method = read("Calls/ListQueued", LOOK);

    fn about(&self) -> About {
        some(&self.resource, &self.gateway)
    }

    async fn run(self, context: &Context) -> Result<proto::ListQueuedResponse, AdminError> {
        let limit = match self.limit {
            0 => MAX_PAGE,
            limit => limit.min(MAX_PAGE),
        };
        let queued = context.services.repository.queued_calls();
        let states = self.states().map(stored_state);
        let filter = QueuedFilter {
            states: states.collect::<Result<_, _>>()?,
            ended: self.all,
            resource: self.resource,
            gateway: self.gateway,
        };
        let mut found = queued.list(filter, self.after, limit + 1).await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let calls = found
            .into_iter()
            .map(|call| message(context, call))
            .collect::<Result<_, _>>()?;
        Ok(proto::ListQueuedResponse { calls, more })
    }
}

impl Request for proto::ShowQueuedRequest {
    type Answer = proto::QueuedCall;

    const METHOD: Method = read("Calls/ShowQueued", LOOK);

    fn about(&self) -> About {
        About::queued_call(&self.call_id)
    }

    async fn run(self, context: &Context) -> Result<proto::QueuedCall, AdminError> {
        let queued = context.services.repository.queued_calls();
        let found = queued.find(&self.call_id).await?;
        let found = found.ok_or_else(|| unknown(&self.call_id))?;
        let trace_id = queued.trace_id(&self.call_id).await?;
        Ok(proto::QueuedCall {
            trace_id: trace_id.unwrap_or_default(),
            ..message(context, found)?
        })
    }
}

impl Request for proto::WatchQueuedRequest {
    type Answer = Messages<proto::QueuedCall>;

    const METHOD: Method = read("Calls/WatchQueued", LOOK);

    fn about(&self) -> About {
        About::queued_call(&self.call_id)
    }

    async fn run(self, context: &Context) -> Result<Messages<proto::QueuedCall>, AdminError> {
        let provisioning = context.services.provisioning.clone();
        let mut changes = provisioning.queue_changes();
        changes.mark_changed();
        // The last state that was told.
        let told = None::<QueuedState>;
        let watch = (provisioning, changes, self.call_id, told);
        let calls = stream::try_unfold(watch, |(provisioning, mut changes, id, told)| async move {
            if told.is_some_and(QueuedState::has_ended) {
                return Ok(None);
            }
            loop {
                // The server stops.
                if changes.changed().await.is_err() || changes.borrow_and_update().is_none() {
                    return Ok(None);
                }
                let found = provisioning.repository.queued_calls().find(&id).await?;
                let found = found.ok_or_else(|| unknown(&id))?;
                if told != Some(found.state) {
                    let told = Some(found.state);
                    let found = shown(&provisioning.time, found)?;
                    return Ok(Some((found, (provisioning, changes, id, told))));
                }
            }
        });
        Ok(Messages::new(calls))
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
        let (now, why) = taken_back(context);
        let call = match queued.cancel(call_id, (now, &why)).await {
            Ok(call) => call,
            Err(RepositoryError::NotFound { .. }) => return Err(unknown(call_id)),
            Err(error) => return Err(error.into()),
        };
        context.services.provisioning.queue_changed();
        match call.state {
            QueuedState::Cancelled => message(context, call),
            QueuedState::Dispatched => Err(AdminError::Precondition(format!(
                "call `{call_id}` is under way: it cannot be taken back any more, and `portcullis call wait {call_id}` tells what comes of it"
            ))),
            QueuedState::Unknown => Err(AdminError::Precondition(format!(
                "call `{call_id}` was sent, and nobody knows yet what came of it: it cannot be taken back, and is looked at when its gateway is back"
            ))),
            _ => Err(AdminError::Precondition(format!(
                "call `{call_id}` has ended already: `portcullis call show {call_id}` tells how"
            ))),
        }
    }
}

impl Request for proto::CancelManyQueuedRequest {
    type Answer = proto::CancelManyQueuedResponse;

    const METHOD: Method = change("Calls/CancelManyQueued", &[Operator]);

    fn about(&self) -> About {
        some(&self.resource, &self.gateway)
    }

    async fn run(self, context: &Context) -> Result<proto::CancelManyQueuedResponse, AdminError> {
        if self.resource.is_empty() && self.gateway.is_empty() {
            return Err(AdminError::malformed(
                "name a resource or a gateway: the calls that wait for it are taken back",
            ));
        }
        let filter = QueuedFilter {
            resource: self.resource,
            gateway: self.gateway,
            ..QueuedFilter::default()
        };
        let queued = context.services.repository.queued_calls();
        let (now, why) = taken_back(context);
        let call_ids = queued.cancel_many(filter, MAX_PAGE, (now, &why)).await?;
        context.note.add(format!("{} calls", call_ids.len()));
        record_cancelled(context, Self::METHOD, &call_ids, &AuditFields::default()).await;
        Ok(proto::CancelManyQueuedResponse {
            more: call_ids.len() >= MAX_PAGE as usize,
            call_ids,
        })
    }
}

/// When calls are taken back, and why.
fn taken_back(context: &Context) -> (UnixMillis, String) {
    let why = format!("{} took it back", context.caller.subject);
    (context.services.provisioning.time.now(), why)
}

/// Writes an entry for each queued call that `method` took back, so that each is found in the audit
/// log by its id; `fields` say what else they have in common.
pub(super) async fn record_cancelled(
    context: &Context,
    method: Method,
    call_ids: &[String],
    fields: &AuditFields,
) {
    if call_ids.is_empty() {
        return;
    }
    context.services.provisioning.queue_changed();
    future::join_all(call_ids.iter().map(|call_id| {
        let subject = context.caller.subject.clone();
        let object = format!("call {call_id}");
        let draft = Draft::new(subject, method.name, &object, audit::Outcome::Done);
        let draft = draft.detail("cancelled").about(AuditFields {
            call_id: call_id.clone(),
            ..fields.clone()
        });
        context.services.audit.record(draft)
    }))
    .await;
}

impl Request for proto::RetryRequest {
    type Answer = proto::QueuedCall;

    const METHOD: Method = change("Calls/Retry", &[Operator]);

    fn about(&self) -> About {
        About::queued_call(&self.call_id)
    }

    async fn run(self, context: &Context) -> Result<proto::QueuedCall, AdminError> {
        let again =
            provisioning::retry(&context.services.queue, &self.call_id, &context.trace).await?;
        let told = format!("{}, call {}", again.summary, again.call_id);
        context.note.add(told);
        message(context, again)
    }
}

impl Request for proto::ResolveRequest {
    type Answer = proto::QueuedCall;

    const METHOD: Method = change("Calls/Resolve", &[Operator]);

    fn about(&self) -> About {
        About::queued_call(&self.call_id)
    }

    async fn run(self, context: &Context) -> Result<proto::QueuedCall, AdminError> {
        if self.reason.trim().is_empty() {
            return Err(AdminError::malformed(
                "give a reason: what was seen, and where",
            ));
        }
        let (resolution, word) = match self.done {
            true => (Resolution::Done, "done"),
            false => (Resolution::Failed, "failed"),
        };
        let who = context.caller.subject.to_string();
        let provisioning = &context.services.provisioning;
        let settled =
            provisioning::resolve(provisioning, &self.call_id, resolution, &who, &self.reason);
        let settled = settled.await?;
        context
            .note
            .add(format!("settled as {word}: {}", self.reason));
        message(context, settled)
    }
}

/// The queued calls of a resource, of a gateway, of a resource behind a gateway, or all.
fn some(resource: &str, gateway: &str) -> About {
    let (target, object) = match (resource, gateway) {
        ("", "") => return About::server(""),
        ("", gateway) => {
            let target = Target::Gateway(gateway.to_owned());
            (target, format!("calls through gateway {gateway}"))
        }
        (resource, gateway) => {
            let target = Target::Resource(resource.to_owned());
            let through = match gateway {
                "" => String::new(),
                gateway => format!(" through gateway {gateway}"),
            };
            (target, format!("calls on resource {resource}{through}"))
        }
    };
    About::new(target, object).with(AuditFields {
        resource: resource.to_owned(),
        gateway: gateway.to_owned(),
        ..AuditFields::default()
    })
}

fn message(context: &Context, call: QueuedCall) -> Result<proto::QueuedCall, AdminError> {
    shown(&context.services.provisioning.time, call)
}

fn shown(time: &ServerTime, call: QueuedCall) -> Result<proto::QueuedCall, AdminError> {
    let outcome = call
        .outcome
        .map(|bytes| Outcome::decode(bytes.as_slice()))
        .transpose()
        .map_err(|_| RepositoryError::Damaged("unreadable outcome".to_owned()))?;
    let (outcome, summary) = match call.fault {
        Some(fault) => (
            Some(outcome::indeterminate(call.call_id.clone(), &fault)),
            format!("RECORD CHANGED BY HAND, it says: {}", call.summary),
        ),
        None => (outcome, call.summary),
    };
    let (outcome, last_attempt) = match call.state.has_ended() {
        true => (outcome, None),
        false => (None, outcome),
    };
    let some = |at: Option<UnixMillis>| some_millis(at.map(|at| time.shown(at)));
    let why = |state| {
        let why = call.why.clone().filter(|_| call.state == state);
        why.unwrap_or_default()
    };
    Ok(proto::QueuedCall {
        call_id: call.call_id,
        resource: call.resource,
        summary,
        state: state(call.state).into(),
        queued_unix_ms: millis(time.shown(call.queued)),
        expires_unix_ms: millis(time.shown(call.expires)),
        dispatched_unix_ms: some(call.dispatched),
        ended_unix_ms: some(call.ended),
        outcome,
        sequence: call.sequence,
        direct: call.direct,
        attempt: call.attempt,
        next_attempt_unix_ms: some(call.next),
        retry_of: call.retry_of.unwrap_or_default(),
        gateway: call.gateway,
        last_attempt,
        unknown_why: why(QueuedState::Unknown),
        cancelled_why: why(QueuedState::Cancelled),
        trace_id: String::new(),
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
        QueuedState::Unknown => proto::QueuedState::Unknown,
    }
}

fn stored_state(state: proto::QueuedState) -> Result<QueuedState, AdminError> {
    Ok(match state {
        proto::QueuedState::Unspecified => {
            return Err(AdminError::malformed(
                "there is no such state of a queued call",
            ));
        }
        proto::QueuedState::Waiting => QueuedState::Waiting,
        proto::QueuedState::Dispatched => QueuedState::Dispatched,
        proto::QueuedState::Done => QueuedState::Done,
        proto::QueuedState::Failed => QueuedState::Failed,
        proto::QueuedState::Indeterminate => QueuedState::Indeterminate,
        proto::QueuedState::Cancelled => QueuedState::Cancelled,
        proto::QueuedState::Expired => QueuedState::Expired,
        proto::QueuedState::Unknown => QueuedState::Unknown,
    })
}

fn unknown(call_id: &str) -> AdminError {
    AdminError::NotFound(format!(
        "no call `{call_id}` was queued or made here, or it ended so long ago that it was forgotten: `portcullis call list --all` shows those there are"
    ))
}
