//! How far the push of a gateway key is, for whoever follows it.

use std::collections::BTreeSet;

use portcullis_common::id::{KeyId, KeyKind};
use portcullis_common::rotation::UnixMillis;
use tokio_stream::wrappers::ReceiverStream;

use super::Pace;
use crate::repository::{Replaced, RepositoryError, RotateError};

/// What a rotation of the gateway key is to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// The new key's kind; `None`: that of the current one.
    pub kind: Option<KeyKind>,
    /// Refuse unless this is the current key; `None`: whichever is.
    pub expected_current: Option<KeyId>,
    /// What becomes of the key that is replaced.
    pub replaced: Replaced,
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

/// Whom a push of the current gateway key reaches, and how fast.
#[derive(Clone, Debug, Default)]
pub struct Push {
    /// Only gateways in one of these groups; empty: all.
    pub groups: BTreeSet<String>,
    /// Only gateways that may hold this key: those that are to leave a withdrawn one.
    pub holders_of: Option<KeyId>,
    /// How fast.
    pub pace: Pace,
    /// Also gateways that refused this very key a moment ago, and those that wait to be dialled
    /// again.
    pub force: bool,
}

/// How a gateway stands to the current gateway key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncState {
    /// Has proved it.
    Synchronized,
    /// Not connected: catches up when it returns.
    Away,
    /// Connected; the key waits for its turn or is on its way, its proof not yet seen.
    Pending,
    /// The gateway, or its link, refused: see the detail.
    Refused,
    /// Holds no key that is still accepted: must enrol again by token.
    MustEnrol,
    /// It refuses the key that it proved last: see [`Outlook::ahead`](super::Outlook::ahead).
    Ahead,
    /// The push does not concern it; it gets the key when it next reconnects.
    NotInScope,
}

impl SyncState {
    /// As people say it.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Synchronized => "synchronized",
            Self::Away => "away",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::MustEnrol => "must enrol again",
            Self::Ahead => "ahead",
            Self::NotInScope => "not in scope",
        }
    }
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

/// How many gateways stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncCounts {
    /// All that are enrolled.
    pub total: u32,
    /// [`SyncState::Synchronized`]
    pub synchronized: u32,
    /// [`SyncState::Away`]
    pub away: u32,
    /// [`SyncState::Pending`]
    pub pending: u32,
    /// [`SyncState::Refused`]
    pub refused: u32,
    /// [`SyncState::MustEnrol`]
    pub must_enrol: u32,
    /// [`SyncState::Ahead`]
    pub ahead: u32,
    /// [`SyncState::NotInScope`]
    pub not_in_scope: u32,
}

impl SyncCounts {
    pub(super) fn add(&mut self, state: SyncState) {
        self.total += 1;
        *self.of(state) += 1;
    }

    pub(super) fn change(&mut self, from: SyncState, to: SyncState) {
        *self.of(from) -= 1;
        *self.of(to) += 1;
    }

    fn of(&mut self, state: SyncState) -> &mut u32 {
        match state {
            SyncState::Synchronized => &mut self.synchronized,
            SyncState::Away => &mut self.away,
            SyncState::Pending => &mut self.pending,
            SyncState::Refused => &mut self.refused,
            SyncState::MustEnrol => &mut self.must_enrol,
            SyncState::Ahead => &mut self.ahead,
            SyncState::NotInScope => &mut self.not_in_scope,
        }
    }
}

/// Where a push is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushEnd {
    /// It goes on.
    UnderWay,
    /// Every gateway that it concerns was asked and answered, or is away.
    Complete,
    /// Another key is current meanwhile: this push has ended.
    Superseded,
}

/// How far the fleet is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The key that is pushed: the current gateway key, unless the push was superseded.
    pub current: KeyId,
    /// The enrolled gateways by their states.
    pub counts: SyncCounts,
    /// Those that changed since the last message; the first message holds all of them.
    pub results: Vec<SyncResult>,
    /// Whether the push goes on. It does also after the last message of a caller who did not wait
    /// for its end.
    pub end: PushEnd,
    /// No message follows.
    pub last: bool,
}

/// Messages of progress; the last one says so. Dropping it stops the reports, not the push.
pub type ProgressStream = ReceiverStream<Result<Progress, RepositoryError>>;
