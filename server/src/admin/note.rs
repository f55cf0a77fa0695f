//! What a service has to add to the audit entry that the router writes about it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Request;

/// The detail of a change's outcome, while its service is at work. Never a secret.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note(Arc<Mutex<Vec<String>>>);

impl Note {
    /// The one of this request. Where the router audits no such request, it goes nowhere.
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        let found = request.extensions().get::<Self>();
        found.cloned().unwrap_or_default()
    }

    /// Adds a few words, such as the id of what was made.
    pub(crate) fn add(&self, words: impl ToString) {
        self.lock().push(words.to_string());
    }

    /// All that was added.
    pub(crate) fn text(&self) -> String {
        self.lock().join("; ")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
