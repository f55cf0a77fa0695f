//! The only door to the use cases: nothing runs unauthorized, and nothing changes without its audit
//! entries.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use portcullis_watch::DONE;
use portcullis_watch::traces::{Key, Kind, Span};
use tokio::sync::oneshot;

use super::approvals;
use super::authorize::authorize;
use super::context::{Context, Note};
use super::error::AdminError;
use super::request::{Method, Plan, Request, Shown};
use crate::access::Caller;
use crate::audit::{AuditError, Begun, Draft, Outcome};
use crate::services::Services;

/// Carries out `request` for `caller`, provided that the caller may make it.
///
/// A change is in the audit log before it begins, and its outcome once it is over; it runs in a
/// task of its own, so that a caller that goes away leaves it neither half done nor its outcome
/// unknown.
///
/// # Errors
/// [`AdminError`].
pub(crate) async fn dispatch<R: Request>(
    services: &Arc<Services>,
    caller: Caller,
    request: R,
) -> Result<R::Answer, AdminError> {
    let method = R::METHOD;
    let (targets, shown) = request.about().into_parts();
    authorize(services, &caller, method, &targets, &shown).await?;
    if let Some(mut contents) = request.for_two() {
        contents.extend(request.looked_at(services).await?);
        approvals::pass(services, &caller, method.name, &shown, contents).await?;
    }
    let subject = caller.subject.clone();
    let span = begin(services, &caller, method, &shown);
    let context = Context {
        services: Arc::clone(services),
        caller,
        note: Note::default(),
        trace: span.trace().clone(),
    };
    if method.plan != Plan::Change {
        let result = Box::pin(request.run(&context)).await;
        span.end(label(&result));
        return result;
    }
    let draft = Draft::new(subject, method.name, &shown.object, Outcome::Begun);
    let begun = services
        .audit
        .begin_draft(draft.about(shown.fields))
        .await?
        .ok_or(AuditError::Closed)?;
    let (answer, answered) = oneshot::channel();
    // The boxed future keeps the machinery of a task from being compiled for every request.
    let work: BoxFuture<'static, ()> = Box::pin(async move {
        let result = Box::pin(request.run(&context)).await;
        let failure = result.as_ref().err().map(ToString::to_string);
        span.end(label(&result));
        end(begun, failure, &context.note).await;
        // Whoever asked went away.
        let _ = answer.send(result);
    });
    tokio::spawn(work);
    answered.await.unwrap_or_else(|_| {
        Err(AdminError::Internal(
            "the server failed within this method: look at its log, and at what was changed"
                .to_owned(),
        ))
    })
}

/// A request is carried out. One that may change something or calls a resource begins a trace
/// where it belongs to none.
fn begin(services: &Services, caller: &Caller, method: Method, shown: &Shown) -> Span {
    let may_begin = method.plan != Plan::Read;
    let trace = services.fleet.tracer().trace(caller.trace, may_begin);
    let mut span = trace.begin(Kind::Server, method.name);
    for (key, name) in [
        (Key::Resource, &shown.fields.resource),
        (Key::Gateway, &shown.fields.gateway),
    ] {
        if !name.is_empty() {
            span.set_name(key, name);
        }
    }
    span
}

/// What came of a request. Of a call, its own outcome stands in the span of its gateway.
fn label<T>(result: &Result<T, AdminError>) -> &'static str {
    match result {
        Ok(_) => DONE,
        Err(_) => "refused",
    }
}

async fn end(begun: Begun, failure: Option<String>, note: &Note) {
    match failure {
        None => begun.end(Outcome::Done, &note.text()).await,
        Some(message) => begun.end(Outcome::Failed, &message).await,
    }
}
