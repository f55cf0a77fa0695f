//! The entries that a call leaves in the audit log: what only reads leaves one, once it is over;
//! what may change something leaves one that is durable before the call is sent, and its outcome.

use portcullis_proto::gateway::v1::Outcome;

use super::describe::{Described, audited};
use super::queue::RETRY;
use crate::audit::{self, AuditError, AuditLog, Begun, Draft, Recorded};
use crate::repository::{Beside, Repository, RepositoryError, tell_refusal};

const NOT_RECORDED: &str = "what came of a call was not recorded here: another instance of the server has taken it over, or somebody said what came of it";

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
    /// An earlier one is, and it is said how its outcome is known.
    Late(Box<Draft>, &'static str),
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

    /// Those of a call that was begun earlier, of which what came is found only now; `None`: it has
    /// no entry `begun`. `how` says how it was found.
    pub(super) fn late(log: &AuditLog, draft: Option<Draft>, how: &'static str) -> Self {
        Self {
            log: log.clone(),
            state: draft.map_or(State::None, |draft| State::Late(Box::new(draft), how)),
        }
    }

    /// None at all.
    pub(super) fn none(log: &AuditLog) -> Self {
        Self::late(log, None, "")
    }

    /// What the call is about has the name that it has on the resource: a mapping may make it.
    pub(super) fn on(mut self, described: Described) -> Self {
        if let State::Once(draft) = std::mem::replace(&mut self.state, State::None) {
            let draft = draft.on(&described.object).about(described.fields);
            self.state = State::Once(Box::new(draft));
        }
        self
    }

    /// A call that only reads is about to be sent through `gateway`.
    pub fn through(mut self, gateway: &str) -> Self {
        if let State::Once(draft) = std::mem::replace(&mut self.state, State::None) {
            self.state = State::Once(Box::new(draft.through(gateway)));
        }
        self
    }

    /// A call that may change something is about to be sent through `gateway`: that is durable
    /// before, and in the same transaction with `work`, which also says whether it is sent at all.
    ///
    /// # Errors
    /// [`AuditError`]: it is not to be sent, though the work may have been done.
    pub(super) async fn begin(
        mut self,
        repository: &Repository,
        gateway: &str,
        work: Beside,
    ) -> Result<Self, AuditError> {
        match std::mem::replace(&mut self.state, State::None) {
            State::Once(draft) => {
                let begun = draft.clone().through(gateway).beside(work);
                self.state = match self.log.begin_draft(begun).await {
                    Ok(Some(begun)) => State::Begun(Box::new(begun)),
                    Ok(None) => State::Once(draft),
                    Err(error) => {
                        self.state = State::Once(draft);
                        return Err(error);
                    }
                };
            }
            other => {
                repository.alone(work).await?;
                self.state = other;
            }
        }
        Ok(self)
    }

    /// Writes how the call ended, with `work` in the same transaction.
    pub(super) async fn outcome_with(
        self,
        repository: &Repository,
        outcome: &Outcome,
        work: Beside,
    ) {
        let (ended, detail) = audited(outcome);
        self.end_with(repository, ended, &detail, work).await;
    }

    /// As [`Self::end`], with `work` in the same transaction. Where it cannot be written now it is
    /// kept, with the work. Where there is nothing to be written, this waits until the work is
    /// done.
    pub(super) async fn end_with(
        mut self,
        repository: &Repository,
        outcome: audit::Outcome,
        detail: &str,
        work: Beside,
    ) {
        let recorded = match std::mem::replace(&mut self.state, State::None) {
            State::None => return alone(repository, work).await,
            State::Once(draft) => {
                let draft = draft.ended(outcome).detail(detail).beside(work);
                self.log.record(draft).await
            }
            State::Begun(begun) => begun.end_with(outcome, detail, work).await,
            State::Late(draft, how) => {
                let detail = match detail {
                    "" => how.to_owned(),
                    why => format!("{why} ({how})"),
                };
                let draft = draft.ended(outcome).detail(&detail).beside(work);
                self.log.record(draft).await
            }
        };
        if recorded == Recorded::Not {
            tracing::error!("{NOT_RECORDED}");
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
            State::Once(draft) | State::Late(draft, _) => {
                self.log.record(draft.ended(outcome).detail(detail)).await;
            }
            State::Begun(begun) => begun.end(outcome, detail).await,
        }
    }

    /// Nothing was done, and nothing is to be written.
    pub(super) fn forget(mut self) {
        self.state = State::None;
    }
}

/// Does work that no entry goes with, as long as it takes.
pub(super) async fn alone(repository: &Repository, work: Beside) {
    loop {
        match repository.alone(work.clone()).await {
            Ok(_) | Err(RepositoryError::Closed) => return,
            Err(error) => {
                tell_refusal!(error, "what came of a call is not stored yet");
                tokio::time::sleep(RETRY).await;
            }
        }
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
