//! A write that waits for its turn, in whichever engine.

use tokio::sync::oneshot;

use super::RepositoryError;
use super::sql::{Answer, Driver, Tx, Work};

/// One caller's write.
pub(super) struct OneWrite {
    work: Work,
    result: Option<Result<Answer, RepositoryError>>,
    answer: oneshot::Sender<Result<Answer, RepositoryError>>,
}

impl OneWrite {
    /// What `work` comes to is told through `answer`.
    pub(super) const fn new(
        work: Work,
        answer: oneshot::Sender<Result<Answer, RepositoryError>>,
    ) -> Self {
        Self {
            work,
            result: None,
            answer,
        }
    }

    /// Does the work, and keeps what came of it. False: it failed, and what it changed is to be
    /// undone.
    pub(super) fn run(&mut self, driver: &mut dyn Driver) -> bool {
        let result = self.work.run(&mut Tx::new(driver));
        self.result.insert(result).is_ok()
    }

    /// Why it failed, where it did.
    pub(super) fn error(&self) -> Option<&RepositoryError> {
        self.result.as_ref()?.as_ref().err()
    }

    /// A statement of it failed: whatever it made of that, it is undone, and its caller is told.
    pub(super) fn must_have_failed(&mut self) {
        if !matches!(self.result, Some(Err(_))) {
            let what = "a statement failed, and what it was part of went on";
            self.result = Some(Err(RepositoryError::Storage(what.to_owned())));
        }
    }

    /// Tells the caller; `lost` says why nothing took effect, where nothing did.
    pub(super) fn tell(self, lost: Option<&RepositoryError>) {
        let answer = match (self.result, lost) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(lost)) => Err(lost.again()),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(RepositoryError::Closed),
        };
        // Nobody waits any more where the caller was cancelled; the work is done all the same.
        let _ = self.answer.send(answer);
    }
}
