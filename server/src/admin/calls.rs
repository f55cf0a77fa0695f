//! Calls on resources.

use futures_util::StreamExt as _;
use portcullis_proto::admin::v1::ExecuteRequest;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{Call, Failure, FailureKind, Outcome, SearchItem};
use prost::Message as _;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::context::Context;
use super::elsewhere::{IfLost, ThroughLink};
use super::error::AdminError;
use super::request::{About, FromMessage, Front, Messages, Method, Request, own};
use crate::access::Target;
use crate::audit::{self, AuditError, Draft};
use crate::config::Capability::Operator;
use crate::provisioning::describe::Described;
use crate::provisioning::direct::{self, Direct};
use crate::provisioning::entry::CallEntry;
use crate::provisioning::{self, By, DispatchError, Prepared, Provisioning, Ready, outcome};

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<Execute>();
    front.offer::<Search>();
    front.offer::<Sync>();
}

/// `Calls.Execute`
#[derive(Debug)]
pub(crate) struct Execute(ExecuteRequest);

/// `Calls.Search`
#[derive(Debug)]
pub(crate) struct Search(ExecuteRequest);

/// `Calls.Sync`
#[derive(Debug)]
pub(crate) struct Sync(ExecuteRequest);

impl Request for Execute {
    type Answer = Outcome;

    const METHOD: Method = own("Calls/Execute", &[Operator]);

    fn about(&self) -> About {
        about(&self.0)
    }

    fn through_link(&self) -> Option<ThroughLink> {
        Some(through_link(&self.0, IfLost::Again))
    }

    fn found_no_link(outcome: &Outcome) -> bool {
        let Some(OutcomeResult::Failed(failure)) = &outcome.result else {
            return false;
        };
        failure.kind() == FailureKind::Unavailable
    }

    async fn run(self, context: &Context) -> Result<Outcome, AdminError> {
        let (_, shown) = self.about().into_parts();
        let ExecuteRequest {
            resource,
            call,
            password_from_user,
        } = self.0;
        let user = context
            .password_of_user(Self::METHOD, &password_from_user, &shown)
            .await?;
        let call = with_id(context, call);
        let audited = entry(context, &resource, &call, &password_from_user).await?;
        let provisioning = context.services.provisioning.clone();
        if !call.changes() {
            let callers = std::convert::identity;
            return read(&provisioning, &resource, call, (user, audited), callers).await;
        }
        let direct = Direct {
            resource,
            call,
            from_user: user.map(str::to_owned),
        };
        // On its own: what came of it is written also where the caller goes away meanwhile.
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            let carried_out = direct::carry_out(&provisioning, direct, audited).await;
            // Whoever asked went away.
            let _ = answer.send(carried_out);
        });
        let carried_out = answered.await.unwrap_or(Err(DispatchError::Stopping));
        Ok(carried_out?)
    }
}

/// Makes a call that only reads, on behalf of another request of the same caller's. The names of
/// what comes back are the connector's own.
pub(super) async fn ask(
    context: &Context,
    resource: &str,
    call: Call,
) -> Result<Outcome, AdminError> {
    let call = with_id(context, Some(call));
    let audited = entry(context, resource, &call, "").await?;
    let provisioning = &context.services.provisioning;
    read(
        provisioning,
        resource,
        call,
        (None, audited),
        Ready::unmapped,
    )
    .await
}

/// A call of this request, with an id and its place in the request's trace.
pub(super) fn with_id(context: &Context, call: Option<Call>) -> Call {
    let call = provisioning::with_id(call.unwrap_or_default());
    Call {
        traceparent: context.trace.traceparent(),
        ..call
    }
}

/// Makes a call that only reads.
async fn read(
    provisioning: &Provisioning,
    resource: &str,
    call: Call,
    (user, audited): (Option<&str>, CallEntry),
    as_answered: fn(Ready) -> Ready,
) -> Result<Outcome, AdminError> {
    let ready = match provisioning::prepare(provisioning, resource, call, user).await {
        Err(error) => return Err(not_sent(audited, error).await),
        Ok(Prepared::Answered(outcome)) => {
            audited.outcome(&outcome).await;
            return Ok(outcome);
        }
        Ok(Prepared::Ready(ready)) => as_answered(*ready),
    };
    let audited = audited.through(ready.gateway());
    match ready.send(provisioning).await {
        Ok(outcome) => {
            audited.outcome(&outcome).await;
            Ok(outcome)
        }
        Err(error) => Err(not_sent(audited, error).await),
    }
}

/// The entries of a call, provided that they will find their place.
async fn entry(
    context: &Context,
    resource: &str,
    call: &Call,
    password_from_user: &str,
) -> Result<CallEntry, AuditError> {
    let draft = || {
        let described = Described::new(resource, call, password_from_user);
        let action = format!("call {}", described.verb);
        let subject = context.caller.subject.clone();
        let draft = Draft::new(subject, &action, &described.object, audit::Outcome::Unknown);
        draft.about(described.fields)
    };
    CallEntry::ready(&context.services.audit, draft).await
}

/// Writes that a call was not even sent, and why.
async fn not_sent(entry: CallEntry, error: impl Into<AdminError>) -> AdminError {
    let error = error.into();
    entry.end(audit::Outcome::Failed, &error.to_string()).await;
    error
}

/// The call, as far as it is known before it has been looked at.
pub(super) fn about(request: &ExecuteRequest) -> About {
    let none = Call::default();
    let call = request.call.as_ref().unwrap_or(&none);
    let described = Described::new(&request.resource, call, &request.password_from_user);
    About::resource(&request.resource)
        .shown_as(format!("{}: {}", described.verb, described.object))
        .with(described.fields)
}

/// The call with an id: forwarded twice, it is one call.
fn through_link(request: &ExecuteRequest, if_lost: IfLost) -> ThroughLink {
    let call = request.call.clone().unwrap_or_default();
    let request = ExecuteRequest {
        call: Some(provisioning::with_id(call)),
        ..request.clone()
    };
    ThroughLink {
        target: Target::Resource(request.resource.clone()),
        message: Zeroizing::new(request.encode_to_vec()),
        if_lost,
    }
}

/// Whether a search or a sync had no link, or lost it, before it found anything.
fn ended_unavailable(first: &SearchItem) -> bool {
    let Some(Kind::End(end)) = &first.kind else {
        return false;
    };
    let failure = end.failure.as_ref();
    failure.is_some_and(|failure| failure.kind() == FailureKind::Unavailable)
}

/// The end of a search or a sync whose answers were lost on the way, after the first of them.
fn incomplete(why: &str) -> Vec<u8> {
    let failure = Failure {
        kind: FailureKind::Unavailable as i32,
        message: format!(
            "incomplete, and not made again, for the first of what was found had been given on already ({why}): ask for all of it again"
        ),
        ..Failure::default()
    };
    outcome::failed_search(failure).encode_to_vec()
}

impl Request for Search {
    type Answer = Messages<SearchItem>;

    const METHOD: Method = own("Calls/Search", &[Operator]);

    fn about(&self) -> About {
        about(&self.0)
    }

    fn through_link(&self) -> Option<ThroughLink> {
        Some(through_link(&self.0, IfLost::EndWith(incomplete)))
    }

    fn found_no_link(first: &SearchItem) -> bool {
        ended_unavailable(first)
    }

    async fn run(self, context: &Context) -> Result<Messages<SearchItem>, AdminError> {
        stream(context, self.0, By::Search).await
    }
}

impl Request for Sync {
    type Answer = Messages<SearchItem>;

    const METHOD: Method = own("Calls/Sync", &[Operator]);

    fn about(&self) -> About {
        about(&self.0)
    }

    fn through_link(&self) -> Option<ThroughLink> {
        Some(through_link(&self.0, IfLost::EndWith(incomplete)))
    }

    fn found_no_link(first: &SearchItem) -> bool {
        ended_unavailable(first)
    }

    async fn run(self, context: &Context) -> Result<Messages<SearchItem>, AdminError> {
        stream(context, self.0, By::Sync).await
    }
}

/// Carries out what has a stream of answers.
async fn stream(
    context: &Context,
    request: ExecuteRequest,
    by: By,
) -> Result<Messages<SearchItem>, AdminError> {
    let ExecuteRequest { resource, call, .. } = request;
    let call = with_id(context, call);
    let audited = entry(context, &resource, &call, "").await?;
    let provisioning = &context.services.provisioning;
    let (items, audited) = match provisioning::search(provisioning, &resource, call, by).await {
        Ok((gateway, items)) => (items, audited.through(&gateway)),
        Err(error) => return Err(not_sent(audited, error).await),
    };
    let mut audited = Some(audited);
    // The entry is written before the caller sees the end.
    Ok(Messages::new(items.then(move |item| {
        let ended = match &item.kind {
            Some(Kind::End(_)) => audited.take(),
            _ => None,
        };
        async move {
            if let (Some(audited), Some(Kind::End(end))) = (ended, &item.kind) {
                let failure = end.failure.as_ref();
                let outcome = failure.map_or(audit::Outcome::Done, |_| audit::Outcome::Failed);
                let why = failure.map_or("", |failure| &failure.message);
                audited.end(outcome, why).await;
            }
            Ok(item)
        }
    })))
}

impl FromMessage for Execute {
    type Message = ExecuteRequest;

    fn from_message(message: Self::Message) -> Self {
        Self(message)
    }
}

impl FromMessage for Search {
    type Message = ExecuteRequest;

    fn from_message(message: Self::Message) -> Self {
        Self(message)
    }
}

impl FromMessage for Sync {
    type Message = ExecuteRequest;

    fn from_message(message: Self::Message) -> Self {
        Self(message)
    }
}
