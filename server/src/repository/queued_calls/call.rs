//! What the queue holds and gives: calls, how they stand, and what is to be sent.

use portcullis_common::id::GatewayId;
use portcullis_common::rotation::UnixMillis;
use zeroize::Zeroizing;

use crate::repository::{OpenError, RepositoryError};

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuedState {
    /// It waits for a link to its gateway.
    Waiting,
    /// It is about to be sent, or was: it is never sent again.
    Dispatched,
    /// It was carried out.
    Done,
    /// It was not.
    Failed,
    /// Nobody knows.
    Indeterminate,
    /// Somebody took it back before it was dispatched.
    Cancelled,
    /// No link came in time.
    Expired,
    /// It was sent, perhaps, and nobody knows yet what came of it: it is looked at when its gateway
    /// is back. Until then no other call goes to its object.
    Unknown,
}

impl QueuedState {
    const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Dispatched,
        Self::Done,
        Self::Failed,
        Self::Indeterminate,
        Self::Cancelled,
        Self::Expired,
        Self::Unknown,
    ];

    pub(super) const fn number(self) -> u8 {
        self as u8
    }

    /// Whether nothing more becomes of it.
    pub const fn has_ended(self) -> bool {
        !matches!(self, Self::Waiting | Self::Dispatched | Self::Unknown)
    }

    /// As its row has it; `lost`: nobody knows what came of it.
    pub(super) fn of_row(number: u8, lost: bool) -> Result<Self, RepositoryError> {
        let found = Self::ALL.get(usize::from(number)).copied();
        let found = match found {
            Some(Self::Dispatched) if lost => Some(Self::Unknown),
            Some(Self::Unknown) => None,
            found => found,
        };
        found.ok_or_else(|| RepositoryError::damaged("state of a queued call"))
    }
}

/// A call that waits, is under way or has ended, without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedCall {
    /// Grows with each call.
    pub sequence: i64,
    /// Its id, unique among calls.
    pub call_id: String,
    /// The resource that it is about.
    pub resource: String,
    /// The verb and the object, for people.
    pub summary: String,
    /// How it stands.
    pub state: QueuedState,
    /// When it was queued.
    pub queued: UnixMillis,
    /// When it fails, unless it was dispatched by then.
    pub expires: UnixMillis,
    /// When it was dispatched last.
    pub dispatched: Option<UnixMillis>,
    /// When it ended.
    pub ended: Option<UnixMillis>,
    /// What came of it, encoded, or of its last attempt where it waits for the next; `None`:
    /// nothing has.
    pub outcome: Option<Vec<u8>>,
    /// The keyed digest of what was queued; `None`: it was queued by an earlier version.
    pub digest: Option<Vec<u8>>,
    /// Somebody waits for its outcome, or did: it was not queued.
    pub direct: bool,
    /// The gateway that it was dispatched to last; empty: to none.
    pub gateway: String,
    /// Which time it is dispatched, or will be, from 1.
    pub attempt: u32,
    /// It is not dispatched before.
    pub next: Option<UnixMillis>,
    /// Why it stands so, where it is unknown or cancelled.
    pub why: Option<String>,
    /// The audit entry `begun` of its last attempt; 0: it has none.
    pub begun: u64,
    /// The call that it repeats.
    pub retry_of: Option<String>,
    /// What is wrong with its record, and what to do. It is shown as indeterminate then, without an
    /// outcome, and never sent.
    pub fault: Option<String>,
}

/// How many calls there are whose outcome is not known, by how they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Those that wait for a link.
    pub waiting: u64,
    /// Those that are under way.
    pub dispatched: u64,
    /// Those of which nobody knows yet.
    pub unknown: u64,
    /// Those of which nobody will know.
    pub indeterminate: u64,
}

impl CallCounts {
    pub(super) fn add(&mut self, state: QueuedState, count: u64) {
        match state {
            QueuedState::Waiting => self.waiting += count,
            QueuedState::Dispatched => self.dispatched += count,
            QueuedState::Unknown => self.unknown += count,
            QueuedState::Indeterminate => self.indeterminate += count,
            QueuedState::Done
            | QueuedState::Failed
            | QueuedState::Cancelled
            | QueuedState::Expired => {}
        }
    }
}

/// Which queued calls are meant. Empty texts and lists select everything.
#[derive(Clone, Debug, Default)]
pub struct QueuedFilter {
    /// Those that stand so; empty: those that have not ended.
    pub states: Vec<QueuedState>,
    /// Also those that have ended, where `states` is empty.
    pub ended: bool,
    /// Of this resource.
    pub resource: String,
    /// Of the resources behind this gateway now.
    pub gateway: String,
}

impl QueuedFilter {
    /// The numbers of the states, each between blanks.
    pub(super) fn states(&self) -> String {
        let all = QueuedState::ALL.iter();
        let states = all.filter(|state| match (self.states.is_empty(), self.ended) {
            (true, true) => true,
            (true, false) => !state.has_ended(),
            (false, _) => self.states.contains(state),
        });
        let numbers: Vec<_> = states.map(|state| state.number().to_string()).collect();
        format!(" {} ", numbers.join(" "))
    }
}

/// Which rows a filter selects: its states, resource and gateway are 1, 2 and 3.
pub(super) const SELECTED: &str =
    "instr(?1, ' ' || CASE WHEN state = 1 AND lost IS NOT NULL THEN 7 ELSE state END || ' ') > 0 AND (?2 = '' OR resource = ?2)
    AND (?3 = '' OR resource IN (SELECT name FROM resources WHERE gateway = ?3))";

/// A call about to be accepted.
#[derive(Clone, Debug)]
pub struct NewQueuedCall {
    /// Its id.
    pub call_id: String,
    /// The resource that it is about.
    pub resource: String,
    /// The verb and the object, for people.
    pub summary: String,
    /// All that is to be sent, encoded.
    pub payload: Zeroizing<Vec<u8>>,
    /// When it was queued.
    pub queued: UnixMillis,
    /// When it is to fail.
    pub expires: UnixMillis,
    /// The keyed digest of what was asked for.
    pub digest: Vec<u8>,
    /// The objects that it is about, within its resource; twice the same where it is one.
    pub lanes: (String, String),
    /// Where a direct call goes, as its caller has it made up; `None`: it is queued.
    pub direct: Option<(String, GatewayId)>,
    /// The attempt that failed, of the same call under this id: this is the next one.
    pub after: Option<u32>,
    /// The call that it repeats.
    pub retry_of: Option<String>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
}

/// What became of accepting a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is there: it waits, or was marked as dispatched at once.
    New(QueuedCall),
    /// One of its id was there already: nothing has changed.
    Existing(QueuedCall),
    /// So many wait for this gateway that no more are taken: nothing has changed.
    Full {
        /// The gateway.
        gateway: String,
    },
    /// Its resource leads to another place than its caller has it made up for: nothing has changed.
    Moved,
}

/// What came of a call, about to be recorded.
#[derive(Clone, Debug)]
pub struct EndOf {
    /// How it stands from then on.
    pub state: QueuedState,
    /// What came of it, encoded.
    pub outcome: Vec<u8>,
    /// What was sent is kept, so that it can be made again.
    pub keeps_payload: bool,
    /// When it ended.
    pub now: UnixMillis,
}

/// A call whose turn it is, with what is to be sent.
#[derive(Clone, Debug)]
pub struct Dispatched {
    /// The call.
    pub call: QueuedCall,
    /// All that is to be sent.
    pub payload: Payload,
}

/// What is to be sent, or why it never is.
pub type Payload = Result<OpenedPayload, PayloadError>;

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct OpenedPayload {
    /// It, encoded.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The registration of the gateway that it is for: it goes to no other.
    pub gateway_id: GatewayId,
}

/// Why a queued call cannot be sent, ever.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// None was sealed for this call on this resource through this gateway.
    #[error(
        "nothing is stored that was to be sent to resource `{resource}` through gateway `{gateway}`: the call was queued for another place, or the repository was changed; make the call again"
    )]
    Missing {
        /// The resource that the call now names.
        resource: String,
        /// The gateway that the resource now names.
        gateway: String,
    },
    /// It was sealed for another registration of the gateway, or another connector.
    #[error(
        "the call was queued for an earlier registration of gateway `{gateway}`, or for another connector of resource `{resource}`: nothing was sent; make the call again"
    )]
    Elsewhere {
        /// The resource.
        resource: String,
        /// The gateway that it names.
        gateway: String,
    },
    /// The record of its resource or gateway decides nothing.
    #[error("{0}; nothing was sent")]
    Changed(String),
    /// Its own record was changed by hand, or put back: it may have been sent before.
    #[error("{0}")]
    Tampered(String),
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}
