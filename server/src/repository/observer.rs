//! A hook at every commit, at which tests let the repository fail or die.

/// When a [`WriteObserver`] is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The transaction is complete, and nothing of it is durable yet.
    BeforeCommit,
    /// All of it is durable, and no caller knows yet.
    AfterCommit,
}

/// What is to become of the transaction and of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should be.
    GoOn,
    /// Before the commit: undone, as if the disk were full. After it: as [`Self::GoOn`].
    Full,
    /// Before the commit: undone, and every change in it made again from its start, as where an
    /// engine could not commit what ran beside others. After it: as [`Self::GoOn`].
    Again,
    /// The repository writes no more, as if the process had died: callers get
    /// [`RepositoryError::Closed`](super::RepositoryError::Closed), and the file stays as it is.
    Die,
}

/// Is asked at every transaction that writes, but for those that bring the schema up to date: so
/// that faults can be simulated at each of them.
pub trait WriteObserver: Send + Sync {
    /// What is to happen at this moment of this transaction?
    fn at(&self, moment: Moment) -> Fate;
}
