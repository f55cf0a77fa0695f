//! What a use case has at hand.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_watch::traces::Trace;

use crate::access::Caller;
use crate::services::Services;

/// What a use case works with, and for whom.
#[derive(Debug)]
pub(crate) struct Context {
    pub(super) services: Arc<Services>,
    pub(super) caller: Caller,
    pub(super) note: Note,
    /// The trace of what it does.
    pub(super) trace: Trace,
}

/// What the audit log is told about a change besides what its request says. Never a secret.
#[derive(Debug, Default)]
pub(super) struct Note(Mutex<Vec<String>>);

impl Note {
    /// Adds a few words, such as the id of what was made.
    pub(super) fn add(&self, words: impl ToString) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(words.to_string());
    }

    /// All that was added.
    pub(super) fn text(&self) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.join("; ")
    }
}
