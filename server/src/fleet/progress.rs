use portcullis_common::id::{KeyId, KeyKind};
use portcullis_common::rotation::UnixMillis;
use tokio_stream::wrappers::ReceiverStream;

use crate::repository::{RepositoryError, RotateError};

/// What a rotation of the gateway key is to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// The new key's kind; `None`: that of the current one.
    pub kind: Option<KeyKind>,
    /// Refuse unless this is the current key; `None`: whichever is.
    pub expected_current: Option<KeyId>,
    /// The older keys are refused at once; the gateways that hold them enrol again by token.
    pub compromised: bool,
}

/// Why a rotation did not take place.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The repository could not be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Another rotation was faster.
    #[error(transparent)]
    Refused(#[from] RotateError),
}

/// How a gateway stands to the current gateway key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncState {
    /// Has proved it.
    Synchronized,
    /// Not connected: catches up when it returns.
    Away,
    /// Connected; the key is on its way, its proof not yet seen.
    Pending,
    /// The gateway, or its link, refused: see the detail.
    Refused,
    /// Holds no key that is still accepted: must enrol again by token.
    MustEnrol,
}

/// One gateway's part of the progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncResult {
    /// The gateway's name.
    pub gateway: String,
    /// How it stands.
    pub state: SyncState,
    /// What to know or do about it; empty where there is nothing.
    pub detail: String,
    /// When a link to it was last known to live.
    pub last_seen: Option<UnixMillis>,
}

/// How far the fleet is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current gateway key.
    pub current: KeyId,
    /// How many of the enrolled gateways have proved it.
    pub synchronized: u32,
    /// How many are enrolled.
    pub total: u32,
    /// Those that changed since the last message; the first message holds all of them.
    pub results: Vec<SyncResult>,
    /// No message follows.
    pub last: bool,
}

/// Messages of progress; the last one says so. Dropping it stops the reports, not the push.
pub type ProgressStream = ReceiverStream<Result<Progress, RepositoryError>>;
