//! Frames, and what may be wrong with them.

use std::num::NonZeroU64;

use bytes::Bytes;

/// One frame of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The number of its call.
    pub call: u64,
    /// What it says.
    pub kind: Kind,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Server: a call begins. Where there is a moment of the gateway's monotonic clock, in
    /// milliseconds, nothing of the call may be begun after it.
    Open(Begin, Option<NonZeroU64>),
    /// Gateway: an item of a search begins.
    Item(Begin),
    /// Gateway: the last answer to a call begins.
    End(Begin),
    /// The next part of the message that was begun last for this call.
    Part(Bytes),
    /// The peer may send this many more bytes for this call.
    Credit(u32),
    /// Server: nobody waits for this call any more.
    Cancel,
    /// Gateway: a cancelled call has no other end than this.
    Cancelled,
    /// Gateway: nothing of this call was begun.
    Refused(Box<Refusal>),
    /// Gateway: no call of a greater number than this will be begun.
    Drain,
}

/// The start of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Bytes of the whole message.
    pub len: u32,
    /// Its first bytes.
    pub data: Bytes,
}

/// Why a call was not begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// A number of `FailureKind`.
    pub kind: i32,
    /// What was wrong, and what to do.
    pub message: String,
}

impl Kind {
    /// Whether it ends a call without an answer.
    pub(super) const fn ends_call(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Refused(_))
    }

    /// About how many bytes it takes on the wire.
    pub(super) fn size(&self) -> usize {
        const HEAD: usize = 16;
        HEAD + match self {
            Self::Open(begin, _) | Self::Item(begin) | Self::End(begin) => begin.data.len(),
            Self::Part(data) => data.len(),
            Self::Refused(refusal) => refusal.message.len(),
            Self::Credit(_) | Self::Cancel | Self::Cancelled | Self::Drain => 0,
        }
    }
}

/// The peer broke the rules: the stream is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame that this protocol does not have, or not in this direction.
    #[error("a frame of no kind that may come from there")]
    UnknownKind,
    /// A frame about a call that was never opened, or has ended.
    #[error("a frame about call {0}, which is not under way")]
    UnknownCall(u64),
    /// A number that is not greater than all before.
    #[error("call {0} was opened after a call of no smaller number")]
    NumberReused(u64),
    /// More than [`MAX_CALLS`](super::MAX_CALLS).
    #[error("more calls at once than are allowed")]
    TooManyCalls,
    /// A message beyond the longest allowed.
    #[error("a message of {0} bytes, which is longer than allowed")]
    TooLong(u32),
    /// More than there was credit for.
    #[error("more was sent for call {0} than there was credit for")]
    NoCredit(u64),
    /// Credit beyond what can be counted, or none.
    #[error("credit for call {0} that cannot be")]
    Credit(u64),
    /// A message that began before the one before it was whole, or a part without a beginning,
    /// without content or too long.
    #[error("the parts of a message of call {0} do not fit together")]
    Parts(u64),
    /// A cancelled call that has had no end for [`CANCEL_GRACE`](super::CANCEL_GRACE).
    #[error("call {0} was cancelled, and the gateway has not ended it")]
    NoEnd(u64),
}
