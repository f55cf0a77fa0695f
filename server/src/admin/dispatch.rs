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
use super::request::{Method, Plan, Request, Shown, Withdraws};
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
        let mut withdraws = request.withdraws();
        let result = Box::pin(request.run(&context)).await;
        let failure = result.as_ref().err().map(ToString::to_string);
        end(begun, failure, &context.note).await;
        // What an earlier one withdrew is waited for by the next one, which does not find it.
        if !matches!(result, Ok(_) | Err(AdminError::NotFound(_))) {
            withdraws = Withdraws::Nothing;
        }
        // It took effect, whoever is waited for: the audit log says so.
        let result = match seen_elsewhere(&context.services, withdraws).await {
            Ok(()) => result,
            Err(error) => Err(error),
        };
        span.end(label(&result));
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

/// Waits until every server goes by what was withdrawn.
///
/// # Errors
/// [`AdminError::Unavailable`]: it is withdrawn all the same.
pub(super) async fn seen_elsewhere(
    services: &Services,
    withdraws: Withdraws,
) -> Result<(), AdminError> {
    let again = match withdraws {
        Withdraws::Nothing => return Ok(()),
        Withdraws::Again => "run the same command again to wait on",
        Withdraws::Once => {
            "do not make it again: whatever is withdrawn next waits for that server, too"
        }
    };
    let seen = services.withdrawals.done().await;
    seen.map_err(|error| AdminError::Unavailable(format!("{error}; {again}")))
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
