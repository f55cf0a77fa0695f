//! Why a task does not begin, or does not come to its end.

use crate::audit::AuditError;
use crate::fleet::RotationError;
use crate::keys::{KeyError, ProtectError};
use crate::repository::{RepositoryError, TaskState};
use crate::withdrawals::NotDone;

/// Why a task was not started, resumed or cancelled.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The repository could not be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// One of its kind runs.
    #[error(
        "task {id} ({kind}) is running, and only one of its kind may: `portcullis task watch {id}` shows how far it is, `portcullis task cancel {id}` ends it"
    )]
    AlreadyRunning {
        /// What it does.
        kind: String,
        /// Its number.
        id: u64,
    },
    /// There is nothing to cancel.
    #[error("task {id} is {state} already: there is nothing to cancel", state = .state.name())]
    Ended {
        /// Its number.
        id: u64,
        /// How it ended.
        state: TaskState,
    },
    /// There is nothing to resume.
    #[error(
        "task {0} is done: there is nothing to resume; give its command again to start another"
    )]
    Done(u64),
    /// The server that runs it goes on with it for now.
    #[error(
        "task {0} runs on another server, which was told to end it and has not done so yet: `portcullis task show {0}` says when it has"
    )]
    NotYet(u64),
    /// It is of a later version.
    #[error(
        "task {0} was made by a later version of the server, and this one cannot carry it out: install that version again, or `portcullis task cancel {0}`"
    )]
    Unknown(u64),
    /// It is to do nothing.
    #[error("there is nothing to do: name at least one step")]
    Empty,
    /// No server may carry it out.
    #[error(
        "this server is drained, and no other one is at work that could carry the task out: `portcullis server drain NAME --undo` puts it to work again"
    )]
    Drained,
    /// The server is about to end.
    #[error("the server is stopping: try again when it runs")]
    Stopping,
}

/// Why a task that was begun did not do all of its work.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The repository could not be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A server key could not be made, chosen or deleted.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The server keys could not be wrapped anew.
    #[error(transparent)]
    Protect(#[from] ProtectError),
    /// The gateway key could not be replaced.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// Values do not open.
    #[error(
        "{count} values do not open, and were left as they are: the report of the task lists them; restore them from a backup, or store them anew"
    )]
    DoNotOpen {
        /// How many.
        count: u64,
    },
    /// Records that decide are not as this server stored them.
    #[error(
        "{count} records of the repository are not as this server stored them: the report of the task lists them; find out who wrote to the repository, then restore it from a backup"
    )]
    RecordsChanged {
        /// How many.
        count: u64,
    },
    /// Gateways of a wave did not come back in time; no further wave is released.
    #[error(
        "wave {wave} did not come back in time, and no further wave is released: {gateways}. Mend these or put their former version back, then `portcullis fleet upgrade resume` releases the wave again"
    )]
    WaveLate {
        /// The wave's name.
        wave: String,
        /// Which gateways, and why each.
        gateways: String,
    },
    /// What is done has to be written down first.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Another server may still go by what was before.
    #[error("{0}; `portcullis task resume` waits on")]
    NotSeen(#[from] NotDone),
    /// The part of the program that carried it out broke.
    #[error(
        "it broke off by a fault of the program: the server's log says more; resume it with `portcullis task resume`"
    )]
    Broken,
    /// Nothing failed.
    #[error(transparent)]
    Interrupted(#[from] Interrupt),
}

impl JobError {
    /// Whether the task is to go on when the server starts again: nothing failed but the server
    /// itself.
    pub(super) fn resumes_by_itself(&self) -> bool {
        match self {
            Self::Interrupted(interrupt) => {
                matches!(interrupt, Interrupt::Stopping | Interrupt::HandedOver)
            }
            Self::Repository(error)
            | Self::Key(KeyError::Repository(error))
            | Self::Protect(ProtectError::Key(KeyError::Repository(error))) => {
                matches!(error, RepositoryError::Closed)
            }
            Self::Rotation(RotationError::Repository(error)) => {
                matches!(error, RepositoryError::Closed)
            }
            Self::Audit(AuditError::Repository(error)) => {
                matches!(**error, RepositoryError::Closed)
            }
            Self::Audit(AuditError::Closed)
            | Self::Key(KeyError::Stopping)
            | Self::Protect(ProtectError::Key(KeyError::Stopping)) => true,
            Self::Key(_)
            | Self::Protect(_)
            | Self::Rotation(_)
            | Self::Audit(_)
            | Self::DoNotOpen { .. }
            | Self::RecordsChanged { .. }
            | Self::WaveLate { .. }
            | Self::NotSeen(_)
            | Self::Broken => false,
        }
    }
}

impl JobError {
    /// What the audit log says of a task that [resumes by itself](Self::resumes_by_itself).
    pub(super) const fn goes_on(&self) -> &'static str {
        match self {
            Self::Interrupted(Interrupt::HandedOver) => "another server goes on with it",
            _ => "it goes on when the server starts again",
        }
    }
}

/// Why a task ends early although nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupt {
    /// Somebody cancelled it.
    #[error("it was cancelled")]
    Cancelled,
    /// The server ends; the task is resumed when it starts again.
    #[error("the server is stopping")]
    Stopping,
    /// The server was drained; another one goes on with the task.
    #[error("the server was drained")]
    HandedOver,
    /// The task was deleted.
    #[error("the task was deleted")]
    Deleted,
}
