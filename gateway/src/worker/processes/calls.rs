//! Calls, handed on to the worker of their connector, and what servers ask of them afterwards.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::worker::v1::JournalMark;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_watch::traces::{Key, Kind, Span};
use portcullis_watch::{failure_name, outcome_name};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use wire::call::Verb;
use wire::search_item::Kind as Item;

use super::journals::Journals;
use super::orders::Lost;
use super::{Workers, lock, nonsense};
use crate::config::WorkerKind;
use crate::model::{Evidence, Outcome};
use crate::moment::NotAfter;
use crate::worker::change::not_looked;
use crate::worker::provisioner::{no_connector, too_many};

/// How much longer than a call may take a worker is waited for: it may look at the resource first,
/// and a server waits a little longer still.
const SLACK: Duration = Duration::from_secs(9);
/// Items that wait for a slow server before the worker waits, too.
const BUFFER: usize = 64;

impl Workers {
    /// Carries out a call of any verb but search and sync. `told` is the incarnation of the
    /// journal that the session knows of. It is begun at the moment `not_after` at the latest.
    pub(in crate::worker) async fn execute(
        &self,
        server: ServerId,
        mut call: wire::Call,
        told: Option<&[u8]>,
        not_after: NotAfter,
    ) -> wire::Outcome {
        let span = self.begin(&mut call);
        let (verb, begun, id) = (call.verb_name(), Instant::now(), call.call_id.clone());
        let as_it_was = AsItWas::of(&call);
        let outcome = match self.execute_at(server, call, told, not_after).await {
            Ok(outcome) => outcome,
            Err(lost) => {
                if let Lost::Silent(message) = &lost {
                    tracing::warn!(verb, "a worker did not answer a call: {message}");
                }
                as_it_was.outcome(lost).into_wire(id)
            }
        };
        let ended = outcome_name(&outcome);
        span.end(ended);
        self.shared.ended.ended(verb, ended, begun.elapsed());
        outcome
    }

    async fn execute_at(
        &self,
        server: ServerId,
        call: wire::Call,
        told: Option<&[u8]>,
        not_after: NotAfter,
    ) -> Result<wire::Outcome, Lost> {
        let kind = self.worker_of(&call)?;
        let _permit = self.permit()?;
        let deadline = self.deadline(&call);
        let mark = match call.changes() {
            true => Some(self.mark(kind, call.look, told).await?),
            false => None,
        };
        let mut order = self.order(Some(server), mark, What::Call(call));
        order.not_after_ms = not_after.ms();
        let mut stream = self.send(kind, order).await?;
        match self.answer(kind, &mut stream, deadline).await {
            Ok(Answered::Outcome(outcome)) => Ok(outcome),
            Ok(_) => Err(Lost::Silent(nonsense(kind))),
            Err(Lost::OtherJournal(message)) => {
                // Notes which one it is, and tells the sessions; what comes of it is told there.
                let _ = self.description(kind).await;
                Err(Lost::Away(message))
            }
            Err(lost) => Err(lost),
        }
    }

    /// Carries out a search or a sync: its items, of which the last is the end. To drop the
    /// receiver ends it.
    pub(in crate::worker) fn items(
        &self,
        server: ServerId,
        mut call: wire::Call,
    ) -> mpsc::Receiver<Item> {
        let (items, receiver) = mpsc::channel(BUFFER);
        let workers = self.clone();
        tokio::spawn(async move {
            let span = workers.begin(&mut call);
            let (verb, begun) = (call.verb_name(), Instant::now());
            let forwarding = workers.forward(server, call, &items);
            let end = tokio::select! {
                end = forwarding => end,
                () = items.closed() => return,
            };
            let end = end.unwrap_or_else(|lost| wire::SearchEnd {
                failure: Some(lost.failure().into()),
                ..wire::SearchEnd::default()
            });
            let failure = end.failure.as_ref();
            let ended = failure.map_or(portcullis_watch::DONE, |why| failure_name(why.kind()));
            span.end(ended);
            workers.shared.ended.ended(verb, ended, begun.elapsed());
            // Nobody listens any more: then nobody misses the end.
            let _ = items.send(Item::End(end)).await;
        });
        receiver
    }

    async fn forward(
        &self,
        server: ServerId,
        call: wire::Call,
        items: &mpsc::Sender<Item>,
    ) -> Result<wire::SearchEnd, Lost> {
        let kind = self.worker_of(&call)?;
        let _permit = self.permit()?;
        let patience = self.limit(&call) + SLACK;
        let order = self.order(Some(server), None, What::Call(call));
        let mut stream = self.send(kind, order).await?;
        loop {
            let deadline = Instant::now() + patience;
            let answer = self.answer(kind, &mut stream, deadline).await?;
            let Answered::Item(wire::SearchItem { kind: Some(item) }) = answer else {
                return Err(Lost::Silent(nonsense(kind)));
            };
            if let Item::End(end) = item {
                return Ok(end);
            }
            if items.send(item).await.is_err() {
                // Nobody listens any more.
                return Ok(wire::SearchEnd::default());
            }
        }
    }

    /// What the workers' journals have of these calls. An id that is missing says nothing, also
    /// where a worker is away.
    pub(in crate::worker) async fn finished(
        &self,
        server: ServerId,
        call_ids: Vec<String>,
    ) -> Vec<wire::FinishedCall> {
        let mut all = Vec::new();
        for kind in self.used() {
            let request = wire::FinishedRequest {
                call_ids: call_ids.clone(),
            };
            let order = self.order(Some(server), None, What::Finished(request));
            match self.ask(kind, order).await {
                Ok(Answered::Finished(finished)) => all.extend(finished.calls),
                Ok(_) => tracing::warn!("{}", nonsense(kind)),
                Err(lost) => {
                    tracing::warn!(worker = %kind, "its journal was not asked: {}", lost.message());
                }
            }
        }
        all
    }

    /// Tells the workers that a server has these outcomes.
    ///
    /// # Errors
    /// Which of them was not told: the server has to say it again.
    pub(in crate::worker) async fn acknowledge(
        &self,
        server: ServerId,
        call_ids: Vec<String>,
    ) -> Result<(), String> {
        for kind in self.used() {
            let request = wire::AcknowledgeRequest {
                call_ids: call_ids.clone(),
            };
            let order = self.order(Some(server), None, What::Acknowledge(request));
            match self.ask(kind, order).await {
                Ok(Answered::Acknowledged(_)) => {}
                Ok(_) => return Err(nonsense(kind)),
                Err(lost) => return Err(lost.message()),
            }
        }
        Ok(())
    }

    /// A worker is asked: what it does belongs to this span.
    fn begin(&self, call: &mut wire::Call) -> Span {
        let trace = self.tracer().continued(&call.traceparent);
        let mut span = trace.begin(Kind::Client, "worker");
        if let Ok(kind) = self.worker_of(call) {
            span.set(Key::Worker, kind.name());
        }
        call.traceparent = span.trace().traceparent();
        span
    }

    /// The worker of a call's connector.
    fn worker_of(&self, call: &wire::Call) -> Result<WorkerKind, Lost> {
        let connectors = self.shared.connectors.read();
        let connectors = connectors.unwrap_or_else(PoisonError::into_inner);
        let found = connectors.get(&call.connector).map(|(kind, _)| *kind);
        found.ok_or_else(|| {
            let names = connectors.keys().map(String::as_str);
            Lost::Refused(no_connector(&call.connector, names))
        })
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Lost> {
        let permit = Arc::clone(&self.shared.calls).try_acquire_owned();
        permit.map_err(|_| Lost::Refused(too_many(self.shared.most_calls)))
    }

    fn limit(&self, call: &wire::Call) -> Duration {
        let limit = self.shared.call_timeout;
        match call.timeout_ms {
            0 => limit,
            asked => limit.min(Duration::from_millis(asked.into())),
        }
    }

    fn deadline(&self, call: &wire::Call) -> Instant {
        Instant::now() + self.limit(call) + SLACK
    }

    /// The journal that a worker has to have for a change. A look whose session was told of
    /// another one would take what is missing in this one for not begun.
    async fn mark(
        &self,
        kind: WorkerKind,
        look: bool,
        told: Option<&[u8]>,
    ) -> Result<JournalMark, Lost> {
        let known = |journals: &Journals| (journals.mark(kind), journals.told().incarnation);
        let (mut mark, mut incarnation) = known(&lock(&self.shared.journals));
        if mark.is_none() {
            self.description(kind).await.map_err(Lost::Away)?;
            (mark, incarnation) = known(&lock(&self.shared.journals));
        }
        let same = told.map_or(!look, |told| told == incarnation);
        if !same {
            return Err(Lost::Away(
                "the journal of a worker was lost since this session was told of it: a new session knows more".to_owned(),
            ));
        }
        mark.ok_or_else(|| {
            Lost::Away(format!(
                "nothing is known of the journal of worker `{kind}`"
            ))
        })
    }
}

/// What has to be known of a call that is handed on, to say what came of it without an answer.
#[derive(Clone, Copy, Debug)]
struct AsItWas {
    changes: bool,
    look: bool,
    /// It tries a password, and whoever asks wants to know whether it was sent.
    tries: bool,
}

impl AsItWas {
    fn of(call: &wire::Call) -> Self {
        let tries = |verb: &Verb| matches!(verb, Verb::Authenticate(it) if it.tells_unknown);
        Self {
            changes: call.changes(),
            look: call.look,
            tries: call.verb.as_ref().is_some_and(tries),
        }
    }

    fn outcome(self, lost: Lost) -> Outcome {
        match lost {
            lost if self.look && self.changes => not_looked(&lost.message(), &Evidence::default()),
            Lost::Silent(message) if self.changes => not_looked(&message, &Evidence::default()),
            Lost::Silent(message) if self.tries => Outcome::Indeterminate(message.into()),
            lost => Outcome::Failed(lost.failure()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FailureKind;

    #[test]
    fn without_an_answer_a_call_is_told_as_after_a_crash() {
        let away = || Lost::Away("away".to_owned());
        let silent = || Lost::Silent("silent".to_owned());
        let call = |changes, look, tries| AsItWas {
            changes,
            look,
            tries,
        };
        for (call, lost, expected) in [
            (call(true, false, false), away(), "unavailable"),
            (call(true, false, false), silent(), "look again"),
            (call(true, true, false), away(), "look again"),
            (call(true, true, false), silent(), "look again"),
            (call(false, false, false), silent(), "unavailable"),
            (call(false, false, true), away(), "unavailable"),
            (call(false, false, true), silent(), "unknown"),
        ] {
            let came = match call.outcome(lost.clone()) {
                Outcome::Failed(failure) if failure.kind == FailureKind::Unavailable => {
                    "unavailable"
                }
                Outcome::Indeterminate(why) if why.look_again => "look again",
                Outcome::Indeterminate(_) => "unknown",
                other => panic!("{other:?}"),
            };
            assert_eq!(came, expected, "{call:?} {lost:?}");
        }
    }
}
