//! A call in the hands of whoever carries it out, or looks for what became of it.

use std::sync::Arc;

use portcullis_common::id::ServerId;
use tokio::sync::watch;

use super::calls::{not_begun, not_looked};
use super::gather;
use super::index::{Place, State, Telling};
use super::outcome::{keep, shortened};
use super::record::{Barred, Begun, Ended, Fact, MAX_BODY, Record};
use super::writer::Command;
use super::{CallKey, Journal};
use crate::model::{CallId, Evidence, Failure, Outcome, Verb};

/// What a call is about to do, for people who read the journal.
#[derive(Clone, Copy, Debug)]
pub struct What<'a> {
    /// The connector's name.
    pub connector: &'a str,
    /// The verb.
    pub verb: Verb,
    /// The object.
    pub object: &'a str,
}

/// The right to carry a call out, or to look for what became of it: nobody else has it meanwhile.
/// Dropped without [`Claim::end`], the call is as it was before; where it was begun, nobody saw its
/// end.
#[derive(Debug)]
pub struct Claim {
    journal: Journal,
    server: ServerId,
    id: CallId,
    key: CallKey,
    tell: watch::Sender<Option<Arc<Outcome>>>,
    /// What the journal has of it on the disk; `None`: nothing.
    former: Option<State>,
    /// It is on the disk that it was begun, or may have been.
    noted: bool,
    /// From its begin on.
    begun: Option<gather::Begun>,
}

/// Waits for a call that somebody else has.
#[derive(Debug)]
pub struct Joined(Telling);

impl Joined {
    pub(super) const fn new(telling: Telling) -> Self {
        Self(telling)
    }

    /// What came of it.
    pub async fn outcome(mut self) -> Outcome {
        let told = self.0.wait_for(Option::is_some).await;
        let outcome = told.ok().and_then(|told| (*told).clone());
        outcome.map_or_else(
            || not_looked("the gateway failed while it carried out the call".to_owned()),
            |outcome| (*outcome).clone(),
        )
    }
}

impl Claim {
    pub(super) fn new(
        journal: &Journal,
        (server, id): (ServerId, CallId),
        key: CallKey,
        tell: watch::Sender<Option<Arc<Outcome>>>,
        former: Option<State>,
    ) -> Self {
        let ended = matches!(former, Some(State::Ended { .. }));
        Self {
            noted: former.is_some() && !ended,
            journal: journal.clone(),
            server,
            id,
            key,
            tell,
            former,
            begun: None,
        }
    }

    /// Notes that the resource gets something of the call from now on. It is on the disk when this
    /// returns.
    ///
    /// # Errors
    /// A [`Failure`] where it is not: the call must not be begun then.
    pub async fn begin(&mut self, what: What<'_>, evidence: Evidence) -> Result<(), Failure> {
        let Some(record) = self.begun(what, &evidence) else {
            return Err(Failure::internal("the journal has lost a call"));
        };
        // From here on it may be on the disk, whatever becomes of this future.
        let former = self.former.replace(State::Unseen(Arc::new(evidence)));
        self.noted = true;
        self.begun = Some(self.journal.shared.under_way.begin());
        let flushed = self.journal.flushed(Record::Begun(record)).await;
        if flushed.is_err() {
            self.former = former;
            self.noted = false;
            self.begun = None;
        } else if let Some(entry) = self.journal.shared.lock().index.calls.get_mut(&self.key)
            && let State::UnderWay { noted, .. } = &mut entry.state
        {
            *noted = true;
        }
        flushed
    }

    fn begun(&self, what: What<'_>, evidence: &Evidence) -> Option<Begun> {
        let facts = evidence.facts.iter();
        let facts = facts.map(|(name, value)| Fact {
            name: name.clone(),
            value: value.clone(),
        });
        let inner = self.journal.shared.lock();
        let entry = inner.index.calls.get(&self.key)?;
        Some(Begun {
            server: self.server.to_bytes().to_vec(),
            call_id: self.id.as_str().to_owned(),
            digest: entry.digest.0.to_vec(),
            connector: what.connector.to_owned(),
            verb: what.verb.name().to_owned(),
            object: shortened(what.object),
            evidence: facts.collect(),
            accepted: entry.accepted,
            begun: entry.begun,
        })
    }

    /// Notes that no call of this id may be begun. `Some`: the journal may lack that it was, and
    /// the resource has to be looked at.
    ///
    /// # Errors
    /// A [`Failure`] where the note is not on the disk.
    pub async fn bar(mut self, unknown: bool) -> Result<Option<Self>, Failure> {
        let barred = self.journal.shared.clock.now();
        let (accepted, acknowledges) = {
            let inner = self.journal.shared.lock();
            let entry = inner.index.calls.get(&self.key);
            let accepted = entry.map_or(0, |entry| entry.accepted);
            (accepted, inner.acknowledging.contains(&self.server))
        };
        let record = Barred {
            server: self.server.to_bytes().to_vec(),
            call_id: self.id.as_str().to_owned(),
            accepted,
            barred,
            acknowledged: !acknowledges,
            unknown,
        };
        self.journal.flushed(Record::Barred(record)).await?;
        self.noted = true;
        self.former = Some(State::Barred {
            acknowledged: !acknowledges,
            barred,
            unknown,
        });
        if unknown {
            return Ok(Some(self));
        }
        self.give_back(Some(Outcome::Failed(not_begun())));
        Ok(None)
    }

    /// Notes what came of the call, for whoever asks later and whoever waits for it. One that is
    /// indeterminate stays one whose end nobody saw: a look may tell more.
    pub fn end(mut self, outcome: &Outcome) {
        if !self.noted || matches!(outcome, Outcome::Indeterminate(_)) {
            self.give_back(Some(outcome.clone()));
            return;
        }
        self.former = None;
        let kept = Arc::new(keep(outcome));
        let ended = self.journal.shared.clock.now();
        let mut inner = self.journal.shared.lock();
        let acknowledged = !inner.acknowledging.contains(&self.server);
        let record = inner.index.calls.get_mut(&self.key).map(|entry| {
            entry.state = State::Ended {
                place: Place::Memory(Arc::clone(&kept)),
                acknowledged,
                ended,
            };
            Ended {
                server: self.server.to_bytes().to_vec(),
                call_id: self.id.as_str().to_owned(),
                digest: entry.digest.0.to_vec(),
                outcome: Some((*kept).clone()),
                accepted: entry.accepted,
                begun: entry.begun,
                ended,
                acknowledged,
            }
        });
        drop(inner);
        if let Some(record) = record {
            self.journal
                .shared
                .send(Command::end(self.key, record, kept));
        }
        self.tell.send_replace(Some(Arc::new(outcome.clone())));
    }

    /// Leaves the call as it is on the disk.
    fn give_back(&mut self, outcome: Option<Outcome>) {
        let former = self.former.take();
        let mut inner = self.journal.shared.lock();
        let calls = &mut inner.index.calls;
        let under_way = |state: &State| matches!(state, State::UnderWay { .. });
        if let Some(entry) = calls.get_mut(&self.key)
            && under_way(&entry.state)
        {
            match former {
                Some(former) => entry.state = former,
                None => drop(calls.remove(&self.key)),
            }
        }
        drop(inner);
        if let Some(outcome) = outcome {
            self.tell.send_replace(Some(Arc::new(outcome)));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Nothing to do where it was ended: another may have the call by now.
        if self.tell.borrow().is_none() {
            self.give_back(None);
        }
    }
}

impl Journal {
    /// Writes a record, and waits until it is on the disk.
    async fn flushed(&self, record: Record) -> Result<(), Failure> {
        let Some(commands) = &self.shared.commands else {
            return Ok(());
        };
        if record.length() > MAX_BODY {
            let message = "what the journal would have to keep of the call is too long: nothing was begun; give it a shorter id, or its object a shorter name";
            return Err(Failure::invalid(message));
        }
        let (command, written) = Command::flushed(record);
        commands.send(command);
        let stopped = |_| Err(Failure::unavailable("the gateway stops: try again later"));
        written.await.unwrap_or_else(stopped)
    }
}
