//! What the journal has of a call that comes, or that a server asks for.

use std::sync::Arc;

use portcullis_common::id::ServerId;
use portcullis_proto::gateway::v1 as wire;
use tokio::sync::watch;

use super::claim::{Claim, Joined};
use super::index::{Entry, Place, State};
use super::record::{Acknowledged, Ended, MAX_BODY, Record};
use super::writer::Command;
use super::{CallKey, Digest, Inner, Journal, Shared, disk, outcome, set_back};
use crate::model::{CallId, Evidence, Failure, FailureKind, Indeterminate, Outcome};

/// Bytes that an id takes in a record beside its own, at the most.
const ID_OVERHEAD: usize = 4;
/// Bytes of a record that says which server it is of, at the most.
const SERVER_BYTES: usize = 64;

/// What a call comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be carried out.
    Begin,
    /// For what became of it.
    Look,
    /// The same, where the journal may lack calls that were begun.
    LookAnyway,
}

/// What the journal has of a call.
#[derive(Debug)]
pub enum Known {
    /// Nothing: it may be begun.
    New(Claim),
    /// It is under way.
    UnderWay(Joined),
    /// It has ended, or it cannot be told now.
    Ended(Outcome),
    /// It was begun, and nobody saw its end: the resource has to be looked at, with what was seen
    /// before.
    Unseen(Claim, Arc<Evidence>),
    /// A look does not find it here: first its id has to be barred, then the resource looked at,
    /// where that is asked for.
    Absent(Claim),
    /// Its id is that of another call; a sentence that says so.
    Other(String),
    /// Nothing of it is begun, and nothing will be.
    Refused(Failure),
}

impl Journal {
    /// What is known of a call, which was accepted so many milliseconds ago. Whoever gets a
    /// [`Claim`] has the call to himself until he lets go of it.
    pub fn claim(
        &self,
        server: ServerId,
        id: &CallId,
        digest: Digest,
        accepted_ago: u64,
        purpose: Purpose,
    ) -> Known {
        let key = self.shared.keys.call(server, id.as_str());
        let now = self.shared.clock.now();
        let accepted = now.saturating_sub(accepted_ago);
        let mut inner = self.shared.lock();
        let inner = &mut *inner;
        let Some(entry) = inner.index.calls.get_mut(&key) else {
            let since = accepted.saturating_sub(self.shared.slack);
            if let Some(refused) = unknown(inner, now, (accepted, since), purpose) {
                return refused;
            }
            let (tell, telling) = watch::channel(None);
            let entry = Entry {
                digest,
                accepted,
                begun: now,
                state: State::UnderWay {
                    telling,
                    noted: false,
                },
            };
            inner.index.calls.insert(key, entry);
            let claim = Claim::new(self, (server, id.clone()), key, tell, None);
            return match purpose {
                Purpose::Begin => Known::New(claim),
                Purpose::Look | Purpose::LookAnyway => Known::Absent(claim),
            };
        };
        let barred = matches!(entry.state, State::Barred { .. });
        if !barred && entry.digest != digest {
            return Known::Other(format!(
                "a call with the id `{id}` came before, with another content: give each call an id of its own"
            ));
        }
        let evidence = match &entry.state {
            State::UnderWay { telling, .. } => {
                return Known::UnderWay(Joined::new(telling.clone()));
            }
            State::Ended { place, .. } => {
                let place = place.clone();
                return self.again((server, id.clone()), key, &place, inner, purpose);
            }
            State::Barred { unknown: false, .. } => return Known::Refused(not_begun()),
            State::Barred { .. } if purpose == Purpose::Begin => {
                return Known::Refused(forgotten());
            }
            State::Barred { .. } => Arc::default(),
            State::Unseen(evidence) => Arc::clone(evidence),
        };
        let (tell, telling) = watch::channel(None);
        let under_way = State::UnderWay {
            telling,
            noted: true,
        };
        let former = std::mem::replace(&mut entry.state, under_way);
        let claim = Claim::new(self, (server, id.clone()), key, tell, Some(former));
        Known::Unseen(claim, evidence)
    }

    /// A call that has ended, and comes again. One that failed changed nothing, and may be tried
    /// again, unless a look has found that it was not begun.
    fn again(
        &self,
        call: (ServerId, CallId),
        key: CallKey,
        place: &Place,
        inner: &mut Inner,
        purpose: Purpose,
    ) -> Known {
        let outcome = self.shared.read(inner, place);
        let failed = |outcome: &Outcome| match outcome {
            Outcome::Failed(failure) => failure.kind != FailureKind::NotBegun,
            Outcome::Done(_) | Outcome::Indeterminate(_) => false,
        };
        let entry = inner.index.calls.get_mut(&key);
        let Some(entry) = entry.filter(|_| purpose == Purpose::Begin && failed(&outcome)) else {
            return Known::Ended(outcome);
        };
        if let Some(fault) = &inner.fault {
            return Known::Refused(Failure::unavailable(fault.clone()));
        }
        let (tell, telling) = watch::channel(None);
        let under_way = State::UnderWay {
            telling,
            noted: false,
        };
        let mut former = std::mem::replace(&mut entry.state, under_way);
        // Where its record is now may not hold any more when it is given back.
        if let State::Ended { place, .. } = &mut former {
            *place = Place::Memory(Arc::new(outcome::keep(&outcome)));
        }
        Known::New(Claim::new(self, call, key, tell, Some(former)))
    }

    /// What the journal has of these calls of a server.
    pub fn finished(&self, server: ServerId, ids: &[String]) -> Vec<wire::FinishedCall> {
        let now = self.shared.clock.now();
        let mut inner = self.shared.lock();
        let inner = &mut *inner;
        let mut found = Vec::new();
        for id in ids {
            let key = self.shared.keys.call(server, id);
            let Some(entry) = inner.index.calls.get(&key) else {
                continue;
            };
            let (begun, mut unseen) = (entry.begun, false);
            let outcome = match &entry.state {
                State::UnderWay { .. } => None,
                State::Ended { place, .. } => {
                    let place = place.clone();
                    let outcome = self.shared.read(inner, &place);
                    // It cannot be read now: no word on what came of the call.
                    unseen = matches!(&outcome, Outcome::Indeterminate(why) if why.look_again);
                    Some(outcome)
                }
                State::Barred { unknown: false, .. } => Some(Outcome::Failed(not_begun())),
                State::Unseen(_) | State::Barred { .. } => {
                    unseen = true;
                    Some(Outcome::Indeterminate(nobody_saw()))
                }
            };
            let outcome = outcome.as_ref().map(outcome::keep).unwrap_or_default();
            found.push(wire::FinishedCall {
                outcome: Some(wire::Outcome {
                    call_id: id.clone(),
                    ..outcome
                }),
                begun_ms_ago: now.saturating_sub(begun),
                unseen,
            });
        }
        found
    }

    /// Takes a note that the server has the outcomes of these calls. One whose end nobody saw is
    /// indeterminate for good then.
    pub fn acknowledge(&self, server: ServerId, ids: Vec<String>) {
        let mut news = Vec::new();
        for id in ids {
            let key = self.shared.keys.call(server, &id);
            if self.shared.settle(server, &id, key) {
                news.push(id);
            }
        }
        for call_ids in in_records(news) {
            self.shared
                .send(Command::note(Record::Acknowledged(Acknowledged {
                    server: server.to_bytes().to_vec(),
                    call_ids,
                })));
        }
    }
}

/// As many ids together as one record may hold.
fn in_records(ids: Vec<String>) -> Vec<Vec<String>> {
    let mut records: Vec<Vec<String>> = Vec::new();
    let mut room = 0;
    for id in ids {
        let needed = id.len() + ID_OVERHEAD;
        match records.last_mut().filter(|_| needed <= room) {
            Some(record) => record.push(id),
            None => {
                records.push(vec![id]);
                room = MAX_BODY - SERVER_BYTES;
            }
        }
        room = room.saturating_sub(needed);
    }
    records
}

impl Shared {
    /// Whether there is an acknowledgement to write.
    fn settle(&self, server: ServerId, id: &str, key: CallKey) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.index.calls.get_mut(&key) else {
            return false;
        };
        if !matches!(entry.state, State::Unseen(_)) {
            return inner.index.acknowledge(key);
        }
        let outcome = Arc::new(outcome::keep(&Outcome::Indeterminate(nobody_saw())));
        let ended = self.clock.now();
        entry.state = State::Ended {
            place: Place::Memory(Arc::clone(&outcome)),
            acknowledged: true,
            ended,
        };
        let record = Ended {
            server: server.to_bytes().to_vec(),
            call_id: id.to_owned(),
            digest: entry.digest.0.to_vec(),
            outcome: Some((*outcome).clone()),
            accepted: entry.accepted,
            begun: entry.begun,
            ended,
            acknowledged: true,
        };
        drop(inner);
        self.send(Command::end(key, record, outcome));
        false
    }

    /// An outcome that was kept.
    fn read(&self, inner: &mut Inner, place: &Place) -> Outcome {
        let at = match place {
            Place::Memory(kept) => return outcome::recall((**kept).clone()),
            Place::Disk(at) => *at,
        };
        let read = inner
            .reader
            .as_mut()
            .map(|file| disk::read(file, &self.keys, at));
        match read {
            Some(Ok(Record::Ended(Ended {
                outcome: Some(kept),
                ..
            }))) => outcome::recall(kept),
            _ => not_looked(
                "the journal has the outcome, and cannot be read: see `portcullis-gateway journal show`"
                    .to_owned(),
            ),
        }
    }

    /// Hands work to the writer, where there is one.
    pub(super) fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            commands.send(command);
        }
    }
}

/// Why a call that the journal does not have is not begun; `None`: it may be. It was accepted
/// between these two times.
fn unknown(
    inner: &Inner,
    now: u64,
    (accepted, since): (u64, u64),
    purpose: Purpose,
) -> Option<Known> {
    let forgot = since <= inner.header.forgotten && inner.header.forgotten > 0;
    let older = accepted < inner.header.created;
    let clock = inner.header.is_ahead(now).then(set_back);
    if let Some(fault) = inner.fault.clone().or(clock) {
        return Some(match purpose {
            Purpose::Begin => Known::Refused(Failure::unavailable(fault)),
            Purpose::Look | Purpose::LookAnyway => Known::Ended(not_looked(fault)),
        });
    }
    let refused = match purpose {
        Purpose::Begin => forgot,
        Purpose::Look => forgot || older,
        Purpose::LookAnyway => false,
    };
    refused.then(|| Known::Refused(forgotten()))
}

/// The answer to a look that could not be taken.
pub(super) fn not_looked(why: String) -> Outcome {
    Outcome::Indeterminate(Indeterminate {
        message: why,
        look_again: true,
        ..Indeterminate::default()
    })
}

/// The answer for a call that a look has barred.
pub fn not_begun() -> Failure {
    Failure::new(
        FailureKind::NotBegun,
        "the call was not begun when it was looked for, and no call of its id will be: give it another id to try again",
    )
}

fn forgotten() -> Failure {
    Failure::new(
        FailureKind::Forgotten,
        "the call is older than what this gateway's journal remembers, so that nobody can tell whether it was begun: look at the object, and give the call another id to try again",
    )
}

fn nobody_saw() -> Indeterminate {
    Indeterminate {
        message: "the gateway ended, or could not look at the resource, while the call was under way: look at the object before you try again".to_owned(),
        ..Indeterminate::default()
    }
}
