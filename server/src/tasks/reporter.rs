//! How a task tells how far it is, and hears that it is to end.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Interrupt, JobError, Progress, Task, to_json};
use crate::repository::Database;
use crate::withdrawals::Withdrawals;

/// How far a task is becomes durable at least so often while it works.
const STORE_INTERVAL: Duration = Duration::from_secs(1);

/// Through which a task says how far it is, and hears that it is to end.
#[derive(Debug)]
pub struct Reporter {
    pub(super) id: u64,
    pub(super) database: Database,
    pub(super) withdrawals: Option<Withdrawals>,
    pub(super) task: watch::Sender<Task>,
    pub(super) interrupt: watch::Receiver<Option<Interrupt>>,
    pub(super) stored: Instant,
}

impl Reporter {
    /// The task's number.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Who asked for the task.
    pub fn subject(&self) -> String {
        self.task.borrow().subject.clone()
    }

    /// How far the task is.
    pub fn progress(&self) -> Progress {
        self.task.borrow().progress.clone()
    }

    /// Tells whoever watches, and from time to time the repository.
    ///
    /// # Errors
    /// [`JobError::Interrupted`] where the task is to end now; [`JobError::Repository`].
    pub async fn update(&mut self, change: impl FnOnce(&mut Progress)) -> Result<(), JobError> {
        self.task.send_modify(|task| change(&mut task.progress));
        if self.stored.elapsed() >= STORE_INTERVAL {
            return self.store(|_| {}).await;
        }
        self.check()
    }

    /// As [`Self::update`]; it is durable when this returns.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn store(&mut self, change: impl FnOnce(&mut Progress)) -> Result<(), JobError> {
        self.task.send_modify(|task| change(&mut task.progress));
        self.stored = Instant::now();
        let progress = to_json(&self.task.borrow().progress);
        if !self.database.tasks().report(self.id, progress).await? {
            return Err(Interrupt::Deleted.into());
        }
        self.check()
    }

    /// Waits until every server goes by what was changed before.
    ///
    /// # Errors
    /// [`JobError::NotSeen`]: some may not; the change stands.
    pub async fn seen_everywhere(&self) -> Result<(), JobError> {
        match &self.withdrawals {
            Some(withdrawals) => Ok(withdrawals.done().await?),
            None => Ok(()),
        }
    }

    /// Is the task to end now?
    ///
    /// # Errors
    /// [`JobError::Interrupted`]: it is.
    pub fn check(&self) -> Result<(), JobError> {
        match *self.interrupt.borrow() {
            None => Ok(()),
            Some(interrupt) => Err(interrupt.into()),
        }
    }

    /// Ends when the task is to end, with the reason.
    pub async fn interrupted(&mut self) -> JobError {
        match self.interrupt.wait_for(Option::is_some).await {
            Ok(interrupt) => interrupt.unwrap_or(Interrupt::Stopping).into(),
            // Nobody is left who could want it to go on.
            Err(_) => Interrupt::Stopping.into(),
        }
    }
}
