//! A journal in a folder of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_common::id::ServerId;
use tempfile::TempDir;

use crate::journal::disk::rewrite;
use crate::journal::keys::Keys;
use crate::journal::record::Header;
use crate::journal::replay::Replay;
use crate::journal::{Claim, Digest, Journal, Known, Purpose, Settings, What};
use crate::model::{
    CallId, Done, Evidence, Failure, FailureKind, Identity, Object, ObjectClass, ObjectId,
    ObjectName, Outcome, Verb,
};
use crate::state_dir::StateDir;

/// A folder, and what a journal in it is to keep to.
pub(super) struct Bench {
    folder: TempDir,
    pub(super) settings: Settings,
}

pub(super) const SERVER: ServerId = ServerId::from_array([1; 16]);

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            settings: Settings::default(),
        }
    }

    /// The journal as a gateway that starts now finds it.
    pub(super) fn open(&self) -> Journal {
        Journal::open(&self.state(), self.settings)
    }

    pub(super) fn state(&self) -> StateDir {
        StateDir::new(&self.folder.path().join("state"))
    }

    pub(super) fn file(&self) -> PathBuf {
        self.state().path().join("journal")
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        fs::read(self.file()).unwrap()
    }

    /// Has it forgotten calls up to this time: its records as they are, under another header.
    pub(super) fn forget_up_to(&self, time: u64) {
        let keys = Keys::load(&self.state()).unwrap().unwrap();
        let bytes = self.bytes();
        let (header, mut replay) = Replay::new(&bytes, &keys.records).unwrap();
        let header = Header {
            forgotten: time,
            ..header
        };
        let (mut new, mut draft) = rewrite(&Arc::new(keys.records.clone()), &header);
        while let Some((_, record)) = replay.record() {
            draft.append(&record);
        }
        new.extend(draft.take_bytes());
        self.put(&new);
    }

    pub(super) fn put(&self, bytes: &[u8]) {
        fs::write(self.file(), bytes).unwrap();
    }
}

pub(super) fn id(number: usize) -> CallId {
    CallId::new(format!("call-{number}")).unwrap()
}

pub(super) fn claim(journal: &Journal, number: usize, purpose: Purpose) -> Known {
    journal.claim(SERVER, &id(number), content(number), 0, purpose)
}

/// The same of a call that was accepted an hour ago.
pub(super) fn earlier(journal: &Journal, number: usize, purpose: Purpose) -> Known {
    journal.claim(SERVER, &id(number), content(number), 3_600_000, purpose)
}

/// Each call has a content of its own.
pub(super) fn content(number: usize) -> Digest {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&(number as u64).to_le_bytes());
    Digest(digest)
}

pub(super) fn new(journal: &Journal, number: usize) -> Claim {
    match claim(journal, number, Purpose::Begin) {
        Known::New(claim) => claim,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn begin(journal: &Journal, number: usize) -> Claim {
    let mut claim = new(journal, number);
    begun(&mut claim).await.unwrap();
    claim
}

pub(super) async fn begun(claim: &mut Claim) -> Result<(), Failure> {
    let what = What {
        connector: "local",
        verb: Verb::Create,
        object: "account `ada`",
    };
    let mut evidence = Evidence::default();
    evidence.note("there", "no");
    claim.begin(what, evidence).await
}

/// A call with its end.
pub(super) async fn call(journal: &Journal, number: usize) {
    let claim = begin(journal, number).await;
    claim.end(&outcome(number));
}

/// Outcomes of every kind that the journal keeps.
pub(super) fn outcome(number: usize) -> Outcome {
    match number % 3 {
        0 => Outcome::Done(Done::Nothing),
        1 => Outcome::Failed(Failure::rejected("the password is too short")),
        _ => Outcome::Done(Done::Object(Box::new(Object {
            identity: Identity {
                class: ObjectClass::Account,
                id: ObjectId::new("1001").unwrap(),
                name: ObjectName::new("ada").unwrap(),
            },
            enabled: None,
            attributes: Vec::new(),
        }))),
    }
}

/// What the journal says of a call, in a word.
pub(super) fn word(known: &Known) -> String {
    match known {
        Known::New(_) => "new".to_owned(),
        Known::UnderWay(_) => "under way".to_owned(),
        Known::Ended(outcome) => format!("ended: {outcome:?}"),
        Known::Unseen(_, evidence) => format!("unseen: {:?}", evidence.facts),
        Known::Absent(_) => "absent".to_owned(),
        Known::Other(_) => "other".to_owned(),
        Known::Refused(failure) => format!("refused: {}", failure.kind),
    }
}

pub(super) fn ended(number: usize) -> String {
    format!("ended: {:?}", outcome(number))
}

pub(super) fn kind(known: Known) -> FailureKind {
    match known {
        Known::Refused(failure) => failure.kind,
        other => panic!("{other:?}"),
    }
}
