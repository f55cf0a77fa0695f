//! A change, noted in the journal before the connector gets anything of it; and a look at what
//! became of one whose end nobody saw.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_watch::traces::Kind;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

use super::asked::Asked;
use super::call_log::subject;
use super::guarded::{Guarded, label};
use super::lanes::Key;
use crate::connector::Context;
use crate::guard::conceal;
use crate::journal::{Claim, What};
use crate::model::{
    Call, CallError, Done, Evidence, Failure, FailureKind, Indeterminate, Look, Outcome, Request,
    Verb,
};

/// How long a look may take that nobody asked for: a server waits so much longer for an answer, and
/// a little more.
const LOOK_PATIENCE: Duration = Duration::from_secs(8);

/// What a change needs to be carried out, with all guard rails behind it.
struct Prepared {
    cx: Context,
    request: Request,
    evidence: Evidence,
}

impl Guarded {
    /// Carries out a change when its lanes are free. Never cut off: the connector keeps to the
    /// deadline by itself. With a `claim`, it is in the journal before it begins, and looked at
    /// where the connector does not know what became of it.
    pub(super) async fn change(
        &self,
        call: Call,
        deadline: Instant,
        mut claim: Option<Claim>,
    ) -> Outcome {
        let waiting = call.trace.begin(Kind::Internal, "wait");
        let entered = self.enter(&call.request, deadline).await;
        drop(waiting);
        let outcome = match (&entered, &mut claim) {
            (Err(busy), _) => Outcome::Failed(busy.clone()),
            (Ok(_), Some(claim)) => self.noted(call, deadline, claim).await,
            (Ok(_), None) => Outcome::from(self.carry_out(call, deadline).await),
        };
        if let Some(claim) = claim {
            claim.end(&outcome);
        }
        outcome
    }

    /// Looks for what became of a change that was begun, or may have been.
    pub(super) async fn look(&self, call: Call, deadline: Instant, before: &Evidence) -> Outcome {
        let verb = call.request.verb();
        let usable = self.configured.guard_rails.check_verb(verb);
        let usable = usable.and_then(|()| self.configured.connector.check_usable());
        if let Err(failure) = usable {
            return not_looked(&failure.message, before);
        }
        let _entered = match self.enter(&call.request, deadline).await {
            Ok(entered) => entered,
            Err(busy) => return not_looked(&busy.message, before),
        };
        let cx = context(&call, deadline);
        // Whether a password is the right one is told to nobody who may not set it.
        let request = if verb == Verb::SetPassword {
            match self.check(&cx, call.request).await {
                Ok(request) => request,
                Err(error) => {
                    let failure = nothing_begun(error);
                    return not_looked(&failure.message, before);
                }
            }
        } else {
            call.request
        };
        match self.seen(&cx, &request, before).await {
            Ok(Look::Done(done)) => Outcome::Done(*done),
            Ok(Look::NotBegun) => Outcome::Failed(Failure::new(
                FailureKind::NotBegun,
                "the gateway ended while the call was under way, and a look at the resource found that nothing has changed",
            )),
            Ok(Look::Unclear(seen)) => {
                let message = "the gateway ended while the call was under way, and a look at the resource does not tell what became of it: look at the object before you try again";
                unclear(message.to_owned(), before, seen)
            }
            Err(why) => not_looked(&why, before),
        }
    }

    async fn enter(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Vec<OwnedMutexGuard<()>>, Failure> {
        let connector = &self.configured.connector;
        let lanes = connector.lanes(request).into_iter();
        let keys: BTreeSet<_> = lanes
            .map(|lane| Key::new(connector.kind(), &self.name, lane))
            .collect();
        let entering = self.lanes.enter(keys);
        timeout_at(deadline, entering).await.map_err(|_| {
            Failure::new(
                FailureKind::Busy,
                "earlier changes took all the time that the call may take: nothing was begun, try again later",
            )
        })
    }

    async fn noted(&self, call: Call, deadline: Instant, claim: &mut Claim) -> Outcome {
        let object = subject(&call.request).unwrap_or_default();
        let prepared = match self.prepare(call, deadline).await {
            Ok(prepared) => prepared,
            Err(failure) => return Outcome::Failed(failure),
        };
        let Prepared {
            mut cx,
            request,
            evidence,
        } = prepared;
        let what = What {
            connector: &self.name,
            verb: request.verb(),
            object: &object,
        };
        let noting = cx.trace.begin(Kind::Internal, "journal");
        if let Err(failure) = claim.begin(what, evidence.clone()).await {
            return Outcome::Failed(failure);
        }
        drop(noting);
        let again = request.clone();
        let asked = Asked::of(&request, self.configured.connector.roles());
        let working = self.working(&mut cx, request.verb());
        let done = self.dispatch(&cx, request, &evidence).await;
        working.end(label(&done));
        match done {
            Ok(done) => Outcome::from(self.judged(&asked, done)),
            Err(CallError::Failed(failure)) => Outcome::Failed(failure),
            Err(CallError::Indeterminate(message)) => {
                self.look_after(&cx, &again, &evidence, message).await
            }
        }
    }

    /// Everything up to where the connector gets the change: whatever it comes to, nothing has
    /// changed.
    async fn prepare(&self, call: Call, deadline: Instant) -> Result<Prepared, Failure> {
        let (verb, not_after) = (call.request.verb(), call.not_after);
        let (cx, request) = self.admitted(call, deadline).await.map_err(nothing_begun)?;
        let connector = &self.configured.connector;
        let evidence = connector.evidence(&cx, &request).await;
        let mut evidence = evidence.map_err(nothing_begun)?;
        if !evidence.fits() {
            tracing::warn!(call = %cx.call, connector = self.name, "what was seen before the call is too long to be kept, and is not");
            evidence = Evidence::default();
        }
        if cx.remaining().is_zero() {
            return Err(Failure::unavailable(
                "to look at the resource before the call took all the time that it may take: nothing was begun",
            ));
        }
        // What went before took its time, and other calls before that.
        if not_after.has_passed() {
            return Err(Failure::late());
        }
        if verb == Verb::Delete {
            let rails = &self.configured.guard_rails;
            rails.count_delete(std::time::Instant::now())?;
        }
        Ok(Prepared {
            cx,
            request,
            evidence,
        })
    }

    /// A look at once, where the connector does not know what became of the change.
    async fn look_after(
        &self,
        cx: &Context,
        request: &Request,
        before: &Evidence,
        message: String,
    ) -> Outcome {
        let cx = Context {
            deadline: Instant::now() + LOOK_PATIENCE,
            ..cx.clone()
        };
        match self.seen(&cx, request, before).await {
            Ok(Look::Done(done)) => {
                tracing::info!(call = %cx.call, "{message}; a look at the resource found that the call was carried out");
                Outcome::Done(*done)
            }
            Ok(Look::NotBegun) => Outcome::Failed(Failure::unavailable(format!(
                "{message}. A look at the resource found that nothing has changed"
            ))),
            Ok(Look::Unclear(seen)) => unclear(message, before, seen),
            Err(why) => Outcome::Indeterminate(Indeterminate {
                message: format!("{message}. The resource could not be looked at: {why}"),
                evidence: before.sentences(),
                look_again: true,
            }),
        }
    }

    /// What the connector sees, within its time; or why it sees nothing.
    async fn seen(
        &self,
        cx: &Context,
        request: &Request,
        before: &Evidence,
    ) -> Result<Look, String> {
        let connector = &self.configured.connector;
        let looking = connector.look(cx, request, before);
        let look = match timeout_at(cx.deadline, looking).await {
            Ok(Ok(look)) => look,
            Ok(Err(CallError::Failed(failure))) => return Err(failure.message),
            Ok(Err(CallError::Indeterminate(message))) => return Err(message),
            Err(_) => return Err("it did not answer in time".to_owned()),
        };
        Ok(match look {
            Look::Done(mut done) => {
                if let Done::Object(object) = &mut *done {
                    conceal(object, connector.roles());
                }
                Look::Done(done)
            }
            other => other,
        })
    }
}

/// What every verb is told beside its arguments.
pub(super) fn context(call: &Call, deadline: Instant) -> Context {
    Context {
        call: call.id.clone(),
        settings: call.settings.clone(),
        secret_settings: call.secret_settings.clone(),
        deadline,
        trace: call.trace.clone(),
    }
}

fn nothing_begun(error: CallError) -> Failure {
    match error {
        CallError::Failed(failure) => failure,
        CallError::Indeterminate(message) => Failure::unavailable(message),
    }
}

fn unclear(message: String, before: &Evidence, seen: Vec<String>) -> Outcome {
    let mut evidence = before.sentences();
    evidence.extend(seen);
    Outcome::Indeterminate(Indeterminate {
        message,
        evidence,
        look_again: false,
    })
}

/// The answer where the resource could not be looked at.
pub(super) fn not_looked(why: &str, before: &Evidence) -> Outcome {
    Outcome::Indeterminate(Indeterminate {
        message: format!(
            "what became of the call is not known, and the resource could not be looked at: {why}"
        ),
        evidence: before.sentences(),
        look_again: true,
    })
}
