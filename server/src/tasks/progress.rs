//! How far a task is, and what it found.

use serde::{Deserialize, Serialize};

use crate::repository::{ProtectedType, SealedValue};

/// Findings that a report holds; those beyond are counted.
pub const MAX_FINDINGS: usize = 200;
/// What the server keys are called where values are counted by type.
pub const SERVER_KEY: &str = "server-key";
/// The type of records that decide: gateways, resources, tasks, keys, the password policy, queued
/// calls.
pub const RECORD: &str = "record";

/// How far a task is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Each type of value that the task is about, also where there are none of it.
    pub types: Vec<TypeProgress>,
    /// Of a task of several steps: each of them, in their order.
    pub steps: Vec<Step>,
    /// What an administrator has to know of single values, at most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// Findings that are not in the list any more.
    pub more_findings: u64,
}

/// How far a task is with one type of value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeProgress {
    /// The type.
    pub name: String,
    /// Values to be worked on.
    pub total: u64,
    /// Values worked on.
    pub done: u64,
    /// Values that stay as they are, as their server key is not here.
    pub undecryptable: u64,
    /// Values that do not open although their server key is here.
    pub failed: u64,
}

/// One step of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The command that does the same alone: `re-encrypt`.
    pub name: String,
    /// How it stands.
    pub state: StepState,
    /// What came of it, or how far it is.
    pub note: String,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Its turn has not come.
    Waiting,
    /// It is at work.
    Running,
    /// It is done.
    Done,
    /// It came to nothing; taken up again, the task begins with it.
    Failed,
}

/// What is to be known of one value: where it stands, never what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whose it is.
    pub owner: String,
    /// Which of the owner's values it is.
    pub field: String,
    /// The server key that it names; empty: none.
    pub key: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Its server key is not here.
    KeyAbsent,
    /// It was changed, or moved from elsewhere.
    Forged,
    /// It is no sealed value.
    Malformed,
    /// Of a record that decides: it was changed or put in by hand.
    Changed,
    /// Of all records that decide: some were removed, put back or added by hand.
    PutBack,
    /// Of a key: it is to be looked at yet.
    Due,
    /// Of a key: nothing depended on it.
    Deleted,
    /// Of a key: something depends on it.
    InUse,
    /// Of a gateway: it is not connected.
    Away,
    /// Of a gateway: it did not take the key.
    Refused,
    /// Of a gateway: it holds no key that is still accepted.
    MustEnrol,
    /// Of a gateway that is upgraded: it has no link.
    NotBack,
    /// Of a gateway that is upgraded: it runs another version yet.
    Outdated,
    /// Of a gateway that is upgraded: it is back, and a call that tries it failed.
    TestFailed,
}

impl Why {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::KeyAbsent => "its server key is not here",
            Self::Forged => "it was changed, or moved here from elsewhere",
            Self::Changed => "its record was changed or put in by hand, and decides nothing",
            Self::PutBack => {
                "some were removed, put back to an earlier state, or added by hand: `portcullis audit verify` says what to do"
            }
            Self::Due => "not looked at yet",
            Self::Deleted => "deleted: nothing depended on it",
            Self::InUse => "kept: something depends on it",
            Self::Away => "away: it catches up when it returns",
            Self::Refused => "it did not take the key",
            Self::MustEnrol => "it must enrol again by token",
            Self::NotBack => "it has no link",
            Self::Outdated => "it is not in the new version yet",
            Self::TestFailed => "a call that tries it failed",
            Self::Malformed => "it is no sealed value, or of a later version",
        }
    }
}

impl Finding {
    /// What is wrong with `value`.
    pub fn new(value: &SealedValue, why: Why) -> Self {
        let place = value.place();
        Self {
            kind: value.kind.name().to_owned(),
            owner: place.owner_name(),
            field: value.field.clone(),
            key: portcullis_common::crypto::storage::server_key_id(&value.sealed)
                .map(|id| id.to_string())
                .unwrap_or_default(),
            why,
        }
    }
}

impl Progress {
    /// Values worked on, of all types.
    pub fn done(&self) -> u64 {
        self.types.iter().map(|kind| kind.done).sum()
    }

    /// Values to be worked on, of all types.
    pub fn total(&self) -> u64 {
        self.types.iter().map(|kind| kind.total).sum()
    }

    /// Values that do not open although their server key is here, of all types.
    pub fn failed(&self) -> u64 {
        self.types.iter().map(|kind| kind.failed).sum()
    }

    /// Values whose server key is not here, of all types.
    pub fn undecryptable(&self) -> u64 {
        self.types.iter().map(|kind| kind.undecryptable).sum()
    }

    /// The part of one type, which is added where it was not there.
    pub fn of(&mut self, kind: ProtectedType) -> &mut TypeProgress {
        self.named(kind.name())
    }

    /// As [`Self::of`], by name.
    pub fn named(&mut self, name: &str) -> &mut TypeProgress {
        let found = self.types.iter().position(|kind| kind.name == name);
        let index = found.unwrap_or_else(|| {
            self.types.push(TypeProgress {
                name: name.to_owned(),
                ..TypeProgress::default()
            });
            self.types.len() - 1
        });
        &mut self.types[index]
    }

    /// Adds findings to the list, as far as there is room, and to their number.
    pub fn add_findings(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            if self.findings.len() < MAX_FINDINGS {
                self.findings.push(finding);
            } else {
                self.more_findings += 1;
            }
        }
    }

    /// Forgets what was found.
    pub fn clear_findings(&mut self) {
        self.findings.clear();
        self.more_findings = 0;
    }
}
