//! The journals of the workers as one: what a server is told of them.
//!
//! Each worker has its own journal, and a server knows one of a gateway. What it is told has an
//! incarnation of this process's own, and the sum of the workers' sequence numbers. The incarnation
//! is another one from the moment on in which the journal of any worker is found to be another one,
//! or behind what was known of it. What is known stands in a file of the state folder before a
//! server is told: so it outlasts a restart, and a worker that is away meanwhile.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use portcullis_proto::worker::v1::JournalMark;
use serde::{Deserialize, Serialize};

use crate::config::WorkerKind;
use crate::state_dir::{StateDir, StateDirError};

/// The file.
const FILE: &str = "workers";
/// More than it ever has.
const MAX_LEN: usize = 4096;

/// What is known of the journals.
#[derive(Debug)]
pub(super) struct Journals {
    folder: StateDir,
    known: Known,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    incarnation: String,
    /// By the worker's name.
    workers: BTreeMap<String, Mark>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    incarnation: String,
    sequence: u64,
}

/// What a server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) incarnation: Vec<u8>,
    pub(super) sequence: u64,
}

impl Journals {
    /// As they were known last. Without a file, or with one that cannot be read, nothing is known:
    /// a server is then told another incarnation, and does not rely on what was before.
    pub(super) fn load(folder: StateDir) -> Self {
        let read = folder.read(FILE, MAX_LEN).unwrap_or_else(|error| {
            tracing::warn!("what was known of the workers' journals cannot be read: {error}");
            None
        });
        let known = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let known = known.filter(|known: &Known| {
            HEXLOWER
                .decode(known.incarnation.as_bytes())
                .is_ok_and(|bytes| bytes.len() == 16)
        });
        Self {
            folder,
            known: known.unwrap_or_else(|| Known {
                incarnation: anew(),
                workers: BTreeMap::new(),
            }),
        }
    }

    /// What is known of the journal of a worker, if anything.
    pub(super) fn mark(&self, kind: WorkerKind) -> Option<JournalMark> {
        let mark = self.known.workers.get(kind.name())?;
        Some(JournalMark {
            incarnation: HEXLOWER.decode(mark.incarnation.as_bytes()).ok()?,
            sequence: mark.sequence,
        })
    }

    /// Takes what a worker says of its journal. True: it is another one than was known, or is
    /// behind, and a server has to be told.
    ///
    /// # Errors
    /// [`StateDirError`] where it cannot be kept: the server must not be told then.
    pub(super) fn take(
        &mut self,
        kind: WorkerKind,
        incarnation: &[u8],
        sequence: u64,
    ) -> Result<bool, StateDirError> {
        let now = Mark {
            incarnation: HEXLOWER.encode(incarnation),
            sequence,
        };
        let mut next = self.known.clone();
        let before = next.workers.insert(kind.name().to_owned(), now.clone());
        let lost = before.is_some_and(|before| {
            before.incarnation != now.incarnation || before.sequence > now.sequence
        });
        if lost {
            next.incarnation = anew();
        }
        if next != self.known {
            let text = serde_json::to_vec(&next).unwrap_or_default();
            self.folder.replace(FILE, &text)?;
            self.known = next;
        }
        Ok(lost)
    }

    /// What a server is told.
    pub(super) fn told(&self) -> Told {
        let marks = self.known.workers.values();
        Told {
            incarnation: HEXLOWER
                .decode(self.known.incarnation.as_bytes())
                .unwrap_or_default(),
            sequence: marks.fold(0, |sum, mark| sum.saturating_add(mark.sequence)),
        }
    }
}

fn anew() -> String {
    HEXLOWER.encode(&rand::random::<[u8; 16]>())
}

#[cfg(test)]
mod tests {
    use super::WorkerKind::{Networked, Privileged};
    use super::*;

    #[test]
    fn a_journal_that_is_lost_or_behind_is_told_by_another_incarnation_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(&folder.path().join("state"));
        let load = || Journals::load(state.clone());
        let mut journals = load();
        assert_eq!(journals.mark(Privileged), None);
        assert!(!journals.take(Privileged, &[1; 16], 5).unwrap());
        assert!(!journals.take(Networked, &[2; 16], 7).unwrap());
        let first = journals.told();
        assert_eq!((first.incarnation.len(), first.sequence), (16, 12));
        let mut journals = load();
        assert_eq!(journals.told(), first);
        assert!(!journals.take(Networked, &[2; 16], 9).unwrap());
        assert_eq!(journals.told().sequence, 14);
        assert_eq!(journals.told().incarnation, first.incarnation);
        // The sum alone would not show it.
        assert!(journals.take(Privileged, &[1; 16], 4).unwrap());
        assert!(!journals.take(Networked, &[2; 16], 90).unwrap());
        let second = load().told();
        assert_ne!(second.incarnation, first.incarnation);
        let mut journals = load();
        assert!(journals.take(Networked, &[3; 16], 100).unwrap());
        assert_ne!(journals.told().incarnation, second.incarnation);
        assert_eq!(load().mark(Networked).unwrap().sequence, 100);
        state.replace(FILE, b"{").unwrap();
        assert_ne!(load().told().incarnation, journals.told().incarnation);
    }
}
