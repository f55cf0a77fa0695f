//! What the journal has of each call, in memory: little of those that have ended, which are read
//! from the disk when they are asked for.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_proto::gateway::v1 as wire;
use tokio::sync::watch;

use super::record::{Barred, Begun, Ended, Record};
use super::{CallKey, Digest};
use crate::model::{Evidence, Outcome};

/// Tells whoever waits for a call what came of it.
pub(super) type Telling = watch::Receiver<Option<Arc<Outcome>>>;

/// One call.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) digest: Digest,
    /// When the server took it on, in milliseconds since 1970.
    pub(super) accepted: u64,
    /// When it was begun, or came here.
    pub(super) begun: u64,
    pub(super) state: State,
}

/// What is known of a call.
#[derive(Debug)]
pub(super) enum State {
    /// It is under way in this run of the gateway; nothing of it needs to be on the disk.
    UnderWay {
        telling: Telling,
        /// It is on the disk that it is begun.
        noted: bool,
    },
    /// It was begun, and nobody saw its end.
    Unseen(Arc<Evidence>),
    Ended {
        place: Place,
        acknowledged: bool,
        ended: u64,
    },
    Barred {
        acknowledged: bool,
        barred: u64,
        /// The journal may lack that it was begun.
        unknown: bool,
    },
}

/// Where an outcome is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Not yet written.
    Memory(Arc<wire::Outcome>),
    /// The record begins at this byte.
    Disk(u64),
}

/// All calls.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) calls: HashMap<CallKey, Entry>,
}

impl Index {
    /// Takes in a record of an earlier run, which begins at this byte.
    pub(super) fn take(&mut self, key: CallKey, at: u64, record: Record) {
        match record {
            Record::Begun(begun) => {
                self.calls.insert(key, unseen(begun));
            }
            Record::Ended(ended) => {
                self.calls.insert(key, ended_at(&ended, at));
            }
            Record::Barred(barred) => {
                self.calls.insert(key, barred_entry(&barred));
            }
            Record::Acknowledged(_) | Record::Flushed => {}
        }
    }

    /// Notes that the server has the outcome; whether that is news.
    pub(super) fn acknowledge(&mut self, key: CallKey) -> bool {
        match self.calls.get_mut(&key).map(|entry| &mut entry.state) {
            Some(State::Ended { acknowledged, .. } | State::Barred { acknowledged, .. }) => {
                !std::mem::replace(acknowledged, true)
            }
            _ => false,
        }
    }
}

fn unseen(begun: Begun) -> Entry {
    let facts = begun.evidence.into_iter();
    let evidence = Evidence {
        facts: facts.map(|fact| (fact.name, fact.value)).collect(),
    };
    Entry {
        digest: Digest::stored(&begun.digest),
        accepted: begun.accepted,
        begun: begun.begun,
        state: State::Unseen(Arc::new(evidence)),
    }
}

fn ended_at(ended: &Ended, at: u64) -> Entry {
    Entry {
        digest: Digest::stored(&ended.digest),
        accepted: ended.accepted,
        begun: ended.begun,
        state: State::Ended {
            place: Place::Disk(at),
            acknowledged: ended.acknowledged,
            ended: ended.ended,
        },
    }
}

/// A barred call has no content that another one could have.
pub(super) fn barred_entry(barred: &Barred) -> Entry {
    Entry {
        digest: Digest::default(),
        accepted: barred.accepted,
        begun: barred.barred,
        state: State::Barred {
            acknowledged: barred.acknowledged,
            barred: barred.barred,
            unknown: barred.unknown,
        },
    }
}
