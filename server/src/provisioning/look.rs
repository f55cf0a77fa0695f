//! A call of which nobody knows what came: its gateway is asked, and looks where it does not know
//! either.
//!
//! ```text
//! unknown ─→ asked ─→ the gateway has its end            ─→ done, failed, indeterminate
//!              │  └─→ under way                          ─→ asked again
//!              └────→ it has not: it looks ─→ found      ─→ done, failed, indeterminate
//!                                          └─→ not begun ─→ a queued call waits again, a direct
//!                                                           one failed
//! ```

use portcullis_common::id::GatewayId;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, FailureKind, FinishedCall, Outcome};
use prost::Message as _;

use super::entry::CallEntry;
use super::known::is_passing;
use super::mapping::Mapping;
use super::sent::{record_end, record_waits};
use super::{
    Afterwards, DispatchError, Form, MadeUp, Provisioning, journals, make_up, outcome, password,
    sending,
};
use crate::audit::{Draft, Outcome as Audited, Subject};
use crate::fleet::{AskError, Attempt, MAX_ASKED, Recipient};
use crate::repository::{PayloadError, QueuedCall, RepositoryError, WaitsAgain, tell_refusal};

/// How far the clocks' rounding may put a call before its record.
const SLACK_MS: u64 = 2_000;
/// A gateway without a journal that does not know a call by then never will.
const LAST_WITHOUT_JOURNAL: usize = 2;
/// Sentences of evidence that are kept.
const MAX_EVIDENCE: usize = 64;
const AFTER_RESTART: &str = "reported by the gateway after the server's restart";
const AFTER_LOSS: &str = "reported by the gateway when its link was back";
const LOOKED: &str = "found by a look, after nobody knew";
const NOT_LOOKED: &str = "it could not be looked at";

/// Ends the calls of a registration that is no more, removed or replaced: whoever has the name of
/// its gateway now knows nothing of them.
pub(super) async fn give_up_former(provisioning: &Provisioning, gateway: &str) {
    let calls = provisioning.repository.queued_calls();
    let mut after = 0;
    while let Ok(some) = calls.unknown(gateway, after, MAX_ASKED as u32).await {
        let Some(last) = some.calls.last().filter(|_| some.to.is_none()) else {
            return;
        };
        after = last.sequence;
        for call in &some.calls {
            let lost = call.why.as_deref().unwrap_or_default();
            let why = format!(
                "{lost}; the gateway that it was sent to was removed or registered anew since, and nobody else can tell"
            );
            unclear(provisioning, call, &why, NOT_LOOKED).await;
        }
    }
}

/// What is left to be done for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// It is to be asked for again.
    Again,
}

/// What a gateway says of some calls.
pub(super) struct Answers {
    answers: Vec<FinishedCall>,
    is_described: bool,
}

/// Asks a gateway what it knows of these calls, which were all dispatched to it.
pub(super) async fn ask(
    provisioning: &Provisioning,
    to: Option<GatewayId>,
    calls: &[QueuedCall],
) -> Result<Answers, AskError> {
    let gateway = calls.first().map_or("", |call| &*call.gateway);
    let ids = calls.iter().map(|call| provisioning.wire_id(gateway, call));
    // Before, what it says under a call's own id may be of an earlier attempt.
    let is_described = provisioning.keeps_journal(gateway).is_some();
    let to = to.ok_or(AskError::Away)?;
    let answers = provisioning.fleet.finished(gateway, to, ids.collect());
    Ok(Answers {
        answers: answers.await?,
        is_described,
    })
}

/// Takes what the gateway has answered of a call. Where it does not know, it looks. `asked`: how
/// often it was asked before; `seen`: its journal.
pub(super) async fn take(
    provisioning: &Provisioning,
    call: &QueuedCall,
    said: &Answers,
    (asked, seen): (usize, Option<journals::Seen>),
) -> Left {
    let id = provisioning.wire_id(&call.gateway, call);
    let answers = said.answers.iter();
    let answer = answers
        .filter(|_| said.is_described || call.attempt <= 1)
        .find(|answer| is_of(provisioning, answer, call, &id));
    match answer.filter(|answer| !answer.unseen) {
        Some(answer) => match answer.outcome.clone().and_then(readable) {
            Some(outcome) => {
                let how = told_by(provisioning, call);
                ended(provisioning, call, outcome, how).await;
                Left::Nothing
            }
            // It is under way.
            None => Left::Again,
        },
        None if only_reads(provisioning, call).await => {
            read_again(provisioning, call).await;
            Left::Nothing
        }
        None => not_known(provisioning, call, (asked, seen)).await,
    }
}

/// Whether a call changes nothing, whatever came of it.
async fn only_reads(provisioning: &Provisioning, call: &QueuedCall) -> bool {
    let payload = provisioning.repository.queued_calls().payload(call).await;
    let Ok(Some(Ok(payload))) = payload else {
        return false;
    };
    Call::decode(payload.bytes.as_slice()).is_ok_and(|wire| !wire.changes())
}

/// What only reads is read once more, and leaves no entry of the attempt that came to nothing.
async fn read_again(provisioning: &Provisioning, call: &QueuedCall) {
    let waits = WaitsAgain {
        was_sent: true,
        ..WaitsAgain::default()
    };
    let entry = CallEntry::none(&provisioning.audit);
    let why = call.why.as_deref().unwrap_or_default();
    record_waits(provisioning, call, entry, waits, why).await;
    provisioning.turn.notify_one();
}

/// The gateway does not know what came of a call: it looks, where it can.
async fn not_known(
    provisioning: &Provisioning,
    call: &QueuedCall,
    (asked, seen): (usize, Option<journals::Seen>),
) -> Left {
    match (provisioning.keeps_journal(&call.gateway), seen) {
        (Some(true), Some(seen)) => look_at(provisioning, call, seen).await,
        // It has described itself since.
        (Some(true), None) => Left::Again,
        // It may be on its way.
        (Some(false) | None, _) if asked < LAST_WITHOUT_JOURNAL => Left::Again,
        (None, _) => Left::Again,
        (Some(false), _) => {
            let why = call.why.as_deref().unwrap_or_default();
            unclear(provisioning, call, why, "its gateway does not know").await
        }
    }
}

/// Nobody will ever know.
async fn unclear(
    provisioning: &Provisioning,
    call: &QueuedCall,
    why: &str,
    how: &'static str,
) -> Left {
    let outcome = outcome::indeterminate(call.call_id.clone(), why);
    settle(provisioning, call, outcome, how).await;
    Left::Nothing
}

/// Has the gateway of a call look for it, in the session in which its journal was seen: with
/// another link it may have another one, whose silence proves nothing.
async fn look_at(provisioning: &Provisioning, call: &QueuedCall, seen: journals::Seen) -> Left {
    let (to, mut wire) = match made_up(provisioning, call).await {
        Ok(Some(made_up)) => made_up,
        Ok(None) => return Left::Again,
        Err(why) => {
            let lost = call.why.as_deref().unwrap_or_default();
            let why = format!("{lost}; it cannot be looked at: {why}");
            return unclear(provisioning, call, &why, NOT_LOOKED).await;
        }
    };
    let dispatched = call.dispatched.unwrap_or(call.queued);
    wire.journal_lost = seen.lost.is_some_and(|lost| dispatched <= lost);
    let to = to.through(seen.session);
    let again = journals::again(call);
    match provisioning.fleet.attempt_again(&to, wire, again).await {
        Ok(Attempt::Ended(outcome)) => found(provisioning, call, outcome).await,
        Ok(Attempt::Lost(_) | Attempt::Unsent(_)) => Left::Again,
        Err(error) => {
            tell_refusal!(error, call = call.call_id, "a call is not looked at now");
            Left::Again
        }
    }
}

/// What is sent to have a call looked at; `None`: not now. An error: why it never is.
async fn made_up(
    provisioning: &Provisioning,
    call: &QueuedCall,
) -> Result<Option<(Recipient, Call)>, String> {
    let payload = match provisioning.repository.queued_calls().payload(call).await {
        Ok(None) => return Ok(None),
        Ok(Some(payload)) => payload.map_err(|error: PayloadError| error.to_string())?,
        Err(RepositoryError::NotFound { .. }) => {
            return Err(format!("resource `{}` was removed", call.resource));
        }
        Err(error) => {
            tell_refusal!(error, call = call.call_id, "a call is not looked at now");
            return Ok(None);
        }
    };
    let wire = Call::decode(payload.bytes.as_slice()).map_err(|error| error.to_string())?;
    let meant_for = Recipient::registration(&call.gateway, payload.gateway_id);
    match make_up(provisioning, &call.resource, wire, Form::Mapped).await {
        Ok(Ok(MadeUp {
            to, call: mut wire, ..
        })) if to == meant_for => {
            wire.call_id.clone_from(&call.call_id);
            wire.accepted_ms_ago = provisioning.time.now().0.saturating_sub(call.queued.0);
            wire.look = true;
            Ok(Some((to, wire)))
        }
        Ok(Ok(_)) => Err("its resource leads to another gateway now".to_owned()),
        Ok(Err((_, failure))) => {
            tracing::warn!(
                call = call.call_id,
                failure.message,
                "a call is not looked at now"
            );
            Ok(None)
        }
        Err(DispatchError::UnknownResource(name)) => Err(format!("resource `{name}` was removed")),
        Err(error) => {
            tell_refusal!(error, call = call.call_id, "a call is not looked at now");
            Ok(None)
        }
    }
}

/// What a look at a call found.
async fn found(provisioning: &Provisioning, call: &QueuedCall, outcome: Outcome) -> Left {
    let Some(outcome) = readable(outcome) else {
        return Left::Again;
    };
    match &outcome.result {
        Some(OutcomeResult::Indeterminate(it)) if it.look_again => return Left::Again,
        Some(OutcomeResult::Failed(failure)) => match failure.kind() {
            // The gateway has no room for a look.
            FailureKind::Busy | FailureKind::Unavailable | FailureKind::Late => return Left::Again,
            FailureKind::NotBegun if may_wait_again(provisioning, call) => {
                wait_again(provisioning, call, LOOKED, &failure.message).await;
                return Left::Nothing;
            }
            FailureKind::Forgotten => {
                return unclear(provisioning, call, &failure.message, LOOKED).await;
            }
            _ => {}
        },
        _ => {}
    }
    settle(provisioning, call, outcome, LOOKED).await;
    Left::Nothing
}

/// The gateway has the end of an attempt: what failed for the moment is tried again where its
/// caller does not wait for it.
async fn ended(
    provisioning: &Provisioning,
    call: &QueuedCall,
    outcome: Outcome,
    how: &'static str,
) {
    // One without a journal, or that has not described itself yet, may speak of an earlier attempt.
    let is_this = call.attempt <= 1 || provisioning.keeps_journal(&call.gateway) == Some(true);
    match &outcome.result {
        Some(OutcomeResult::Failed(failure))
            if is_this && is_passing(failure.kind()) && may_wait_again(provisioning, call) =>
        {
            wait_again(provisioning, call, how, &failure.message).await;
        }
        _ => settle(provisioning, call, outcome, how).await,
    }
}

fn may_wait_again(provisioning: &Provisioning, call: &QueuedCall) -> bool {
    !call.direct && provisioning.time.now() < call.expires
}

/// Has a call wait for its next attempt: nothing of this one is there.
async fn wait_again(provisioning: &Provisioning, call: &QueuedCall, how: &'static str, why: &str) {
    let entry = late_entry(provisioning, call, how).await;
    let waits = WaitsAgain {
        was_sent: true,
        ..WaitsAgain::default()
    };
    record_waits(provisioning, call, entry, waits, why).await;
    provisioning.turn.notify_one();
}

/// Whether the gateway speaks of this very call, and not of an earlier one of that id.
fn is_of(provisioning: &Provisioning, answer: &FinishedCall, call: &QueuedCall, id: &str) -> bool {
    let about = answer.outcome.as_ref().map(|outcome| &*outcome.call_id);
    let now = provisioning.time.now().0;
    let begun = now.saturating_sub(answer.begun_ms_ago);
    let dispatched = call.dispatched.unwrap_or(call.queued).0;
    about == Some(id) && begun.saturating_add(SLACK_MS) >= dispatched
}

/// An outcome without anything but what it is; `None`: the call is under way.
fn readable(mut outcome: Outcome) -> Option<Outcome> {
    match outcome.result.as_mut()? {
        OutcomeResult::Done(_) => {}
        OutcomeResult::Failed(failure) => {
            failure.message = crate::fleet::printable(&failure.message)
        }
        OutcomeResult::Indeterminate(it) => {
            it.message = crate::fleet::printable(&it.message);
            it.evidence.truncate(MAX_EVIDENCE);
            for seen in &mut it.evidence {
                *seen = crate::fleet::printable(seen);
            }
        }
    }
    Some(outcome)
}

fn told_by(provisioning: &Provisioning, call: &QueuedCall) -> &'static str {
    match call.dispatched.is_some_and(|at| at >= provisioning.started) {
        true => AFTER_LOSS,
        false => AFTER_RESTART,
    }
}

/// Records what came of an unknown call, `how` it is known.
async fn settle(
    provisioning: &Provisioning,
    call: &QueuedCall,
    mut outcome: Outcome,
    how: &'static str,
) {
    outcome.call_id.clone_from(&call.call_id);
    tracing::info!(call = call.call_id, how, "it is known what came of a call");
    let entry = late_entry(provisioning, call, how).await;
    let afterwards = afterwards(provisioning, call).await;
    answer_mapped(provisioning, call, &mut outcome).await;
    if let Some(afterwards) = afterwards {
        let repository = &provisioning.repository;
        afterwards.carry_out(repository, &outcome).await;
    }
    record_end(provisioning, call, entry, &outcome).await;
}

/// Gives what was found the names that the call's caller knows.
async fn answer_mapped(provisioning: &Provisioning, call: &QueuedCall, outcome: &mut Outcome) {
    let resources = provisioning.repository.resources();
    if let Ok(Some(resource)) = resources.find(&call.resource).await
        && let Ok(mapping) = Mapping::parse(&resource.mapping)
    {
        mapping.answer(outcome);
    }
}

/// What an unknown call does to the history of passwords, once it is known what came of it: one
/// that was never begun must find its password unused when it is tried again. `None`: nothing.
pub(super) async fn afterwards(
    provisioning: &Provisioning,
    call: &QueuedCall,
) -> Option<Afterwards> {
    let payload = provisioning.repository.queued_calls().payload(call).await;
    let payload = payload.ok()??.ok()?;
    let wire = Call::decode(payload.bytes.as_slice()).ok()?;
    let afterwards = password::prepare(&provisioning.repository, &call.resource, &wire);
    afterwards.await.ok()
}

/// The entry of a call that was begun earlier, which says `how` it is known what came of it.
async fn late_entry(
    provisioning: &Provisioning,
    call: &QueuedCall,
    how: &'static str,
) -> CallEntry {
    let log = &provisioning.audit;
    if !log.calls() {
        return CallEntry::none(log);
    }
    let none = Call::default();
    // One of an earlier version, or sent while calls were not audited.
    let Some(before) = call.begun.checked_sub(1) else {
        return sending::entry(provisioning, call, &call.gateway, &none);
    };
    let entries = provisioning.repository.audit_entries();
    let begun = entries.scan(before, 1).await;
    let begun = begun.ok().and_then(|entries| entries.into_iter().next());
    let draft = match begun {
        Some(begun) => {
            let subject = Subject::server();
            Draft::new(subject, &begun.action, &begun.object, Audited::Unknown).about(begun.fields)
        }
        None => sending::draft(call, &call.gateway, &none),
    };
    CallEntry::late(log, Some(draft.of(call.begun)), how)
}
