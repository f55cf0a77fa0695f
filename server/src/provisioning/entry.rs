//! The entries that a call leaves in the audit log: what only reads leaves one, once it is over;
//! what may change something leaves one that is durable before the call is sent, and its outcome.

use portcullis_proto::gateway::v1::Outcome;

use super::describe::audited;
use crate::audit::{self, AuditError, AuditLog, Begun, Draft};

/// The entries of one call. Dropped before its outcome is known, it leaves the entry `unknown`.
#[derive(Debug)]
pub struct CallEntry {
    log: AuditLog,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing is to be written any more, or calls are not audited.
    None,
    /// One entry, once it is over.
    Once(Box<Draft>),
    /// The entry `begun` is durable.
    Begun(Box<Begun>),
}

impl CallEntry {
    /// Those of `draft`, once it is made sure that they will find their place.
    ///
    /// # Errors
    /// [`AuditError`]: nothing is to be done.
    pub async fn ready(
        log: &AuditLog,
        draft: impl FnOnce() -> Draft + Send,
    ) -> Result<Self, AuditError> {
        if log.calls() {
            log.ready().await?;
        }
        Ok(Self::new(log, draft))
    }

    /// Those of `draft`.
    pub(super) fn new(log: &AuditLog, draft: impl FnOnce() -> Draft) -> Self {
        let state = match log.calls() {
            true => State::Once(Box::new(draft())),
            false => State::None,
        };
        Self {
            log: log.clone(),
            state,
        }
    }

    /// The call is about to be sent through `gateway`. One that may change something is in the log
    /// before.
    ///
    /// # Errors
    /// [`AuditError`]: it is not to be sent.
    pub async fn sending(mut self, gateway: &str, changes: bool) -> Result<Self, AuditError> {
        if let State::Once(draft) = std::mem::replace(&mut self.state, State::None) {
            let draft = draft.through(gateway);
            self.state = if changes {
                State::Begun(Box::new(self.log.begin_draft(draft).await?))
            } else {
                State::Once(Box::new(draft))
            };
        }
        Ok(self)
    }

    /// Whether the entry `begun` is there.
    pub(super) const fn has_begun(&self) -> bool {
        matches!(self.state, State::Begun(_))
    }

    /// What is to be written where the outcome is known only later.
    pub fn later(&self) -> Option<Draft> {
        match &self.state {
            State::Begun(begun) => begun.later(),
            State::None | State::Once(_) => None,
        }
    }

    /// Writes how the call ended.
    pub async fn outcome(self, outcome: &Outcome) {
        let (ended, detail) = audited(outcome);
        self.end(ended, &detail).await;
    }

    /// Writes that it was answered as the same call before, and not made again.
    pub async fn known(self, outcome: &Outcome) {
        let (ended, detail) = audited(outcome);
        let how = "not made again: answered as the same call before";
        match detail.as_ref() {
            "" => self.end(ended, how).await,
            detail => self.end(ended, &format!("{detail} ({how})")).await,
        }
    }

    /// Writes how it ended, and why.
    pub async fn end(mut self, outcome: audit::Outcome, detail: &str) {
        match std::mem::replace(&mut self.state, State::None) {
            State::None => {}
            State::Once(draft) => self.log.record(draft.ended(outcome).detail(detail)).await,
            State::Begun(begun) => begun.end(outcome, detail).await,
        }
    }

    /// Nothing was done, and nothing is to be written.
    pub(super) fn forget(mut self) {
        self.state = State::None;
    }
}

impl Drop for CallEntry {
    fn drop(&mut self) {
        // What was begun says so by itself.
        if let State::Once(draft) = std::mem::replace(&mut self.state, State::None) {
            let why = "whoever asked went away before its outcome was known";
            let draft = draft.ended(audit::Outcome::Unknown).detail(why);
            self.log.record_later(draft);
        }
    }
}
