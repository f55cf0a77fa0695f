//! Why the audit log cannot be written or read, and in what it is not as the server left it.

use std::sync::Arc;

use portcullis_common::id::KeyId;

use super::head::HeadError;
use crate::repository::{Lineage, RepositoryError};

/// Why the audit log cannot be written or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    /// The repository does not take entries.
    #[error("the audit log cannot be written: {0}")]
    Repository(Arc<RepositoryError>),
    /// The end of the log cannot be written down outside the repository.
    #[error(transparent)]
    Head(Arc<HeadError>),
    /// The log is not as this server left it.
    #[error(
        "the audit log takes no entries: {0}. See what `portcullis audit verify` says; when you know why, `portcullis audit accept` goes on from here, and where the repository itself went back in time, `portcullis-server repository accept-loss`"
    )]
    Disputed(#[from] Dispute),
    /// The repository went back in time, which more than the log has to know.
    #[error(
        "{0}: stop all servers, then run `portcullis-server repository accept-loss`, which also holds the calls that wait and voids what was open"
    )]
    Loss(Dispute),
    /// Nothing is in dispute.
    #[error("there is nothing to accept: the audit log and its head file agree")]
    Undisputed,
    /// The server is stopping.
    #[error("the audit log is closed: the server is stopping")]
    Closed,
}

impl AuditError {
    /// Whether the database of the repository is away, and nothing is wrong with the log.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Repository(error) if error.is_away())
    }
}

impl From<RepositoryError> for AuditError {
    fn from(error: RepositoryError) -> Self {
        Self::Repository(Arc::new(error))
    }
}

impl From<HeadError> for AuditError {
    fn from(error: HeadError) -> Self {
        Self::Head(Arc::new(error))
    }
}

/// In what the audit log is not as this server left it. Only an administrator can know whether that
/// is an attack or a restored backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dispute {
    /// The head file is gone.
    #[error("its head file is missing, and with it the proof that the log is whole")]
    HeadMissing,
    /// The head file is not what this server wrote.
    #[error("its head file is damaged, was changed, or belongs to another repository")]
    HeadDamaged,
    /// Entries are missing at the end.
    #[error(
        "its head file counts {head} entries and the repository has {count}: the last ones were cut off, or the repository was restored from a backup"
    )]
    Cut {
        /// As the head file has it.
        head: u64,
        /// As the repository has it.
        count: u64,
    },
    /// The head file is too old.
    #[error(
        "its head file counts {head} entries and the repository has {count}, more than one commit ahead: the head file was put back to an older state"
    )]
    HeadOlder {
        /// As the head file has it.
        head: u64,
        /// As the repository has it.
        count: u64,
    },
    /// The database is another one.
    #[error(
        "the repository is in another database cluster ({found}) than its head file knows ({known}): nobody can say whether all of it is there"
    )]
    OtherDatabase {
        /// As the head file has it.
        known: Lineage,
        /// The one that answers.
        found: Lineage,
    },
    /// The database is an earlier primary.
    #[error(
        "the database is at timeline {}, and its head file knows timeline {}: it is a primary that a standby has taken over from, or was put back to an earlier state",
        found.timeline, known.timeline
    )]
    EarlierTimeline {
        /// As the head file has it.
        known: Lineage,
        /// The one that answers.
        found: Lineage,
    },
    /// The database lost what it had acknowledged to this server.
    #[error(
        "the last changes of this server are not in the repository any more: a standby that lacked them was promoted, or an earlier state was put back"
    )]
    TailLost,
    /// A server found so, and wrote it into the repository.
    #[error("a server found that the repository went back in time")]
    WentBack,
    /// The entries are others than those that were written.
    #[error("entry {seq} is not the one that its head file knows: the log was rewritten")]
    Rewritten {
        /// The entry at which the two differ.
        seq: u64,
    },
    /// The last entry is not what this server wrote.
    #[error("its last entry, {seq}, was changed")]
    LastChanged {
        /// That entry.
        seq: u64,
    },
    /// The server key that seals the audit key is not in the keyring.
    #[error("its key is sealed under server key {server_key}, which is not here")]
    KeyAway {
        /// That key.
        server_key: KeyId,
    },
    /// The audit key was removed, or is not what this server stored.
    #[error("its key was removed or changed")]
    KeyGone,
    /// The rows that decide are not those that the last entry knows.
    #[error(
        "records that decide (gateways, resources, tasks, keys, the password policy, queued calls) were removed, put back to an earlier state, or added by hand since its last entry: look through `portcullis gateway list`, `portcullis resource list`, `portcullis key list` and `portcullis call list` for what you did not do"
    )]
    Rows,
    /// The head file says that entries know the rows that decide, and the last one does not.
    #[error(
        "its last entry does not know the records that decide, though its head file says that it does: the repository was put back to an earlier state"
    )]
    RowsUnknown,
    /// Somebody without its key wrote to it while the server ran.
    #[error(
        "its end is not where this server left it, and no server has gone on from there: somebody else wrote to the repository"
    )]
    Moved,
}

impl Dispute {
    /// Whether the repository, and not its log alone, went back in time. One that several servers
    /// share then stops all of them.
    pub(super) const fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::OtherDatabase { .. }
                | Self::EarlierTimeline { .. }
                | Self::TailLost
                | Self::WentBack
                | Self::Cut { .. }
        )
    }
}
