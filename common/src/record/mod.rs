//! Records: the sealed channel after its handshake (PROTOCOL.md, "Records").
//!
//! Pure: no I/O and no clock. Each direction of a session has one [`Sealer`] on the sending side
//! and one [`Opener`] on the receiving side. How they are driven:
//!
//! 1. The sender calls [`Sealer::data`] for what it has to say (or gathers it in a [`Draft`]), and
//!    at the end [`Sealer::close`], once. Both append whole records, after a key update where one
//!    is due, to a buffer that is sent unchanged and in order.
//! 2. The receiver reads [`HEADER_LEN`] bytes, gives them to [`Opener::header`], reads as many
//!    bytes more as [`RecordHeader::body_len`] says, and gives those to [`Opener::open`], which
//!    decrypts in place.
//! 3. When there is nothing to do, an [`Activity`] says whether both should `prepare` what they
//!    will need next, or `rest`.
//! 4. After any error the direction is dead: its keys are erased and every later call gives
//!    [`RecordError::Dead`]. The caller then ends the session, in both directions.

mod cipher;
mod direction;
mod idle;
mod open;
mod seal;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use idle::{Activity, Moment};
pub use open::{Opened, Opener};
pub use seal::{Draft, Sealer};

use crate::wire::{FrameError, FrameHeader, FrameType, MAX_CIPHERTEXT_LEN};
pub use crate::wire::{HEADER_LEN, RECORD_TAG_LEN as TAG_LEN};

/// Bytes of plaintext that one record carries at most.
pub const MAX_PLAINTEXT: usize = MAX_CIPHERTEXT_LEN;
/// Bytes of a whole record at most.
pub const MAX_RECORD: usize = HEADER_LEN + MAX_PLAINTEXT + TAG_LEN;
/// Cipher blocks under one key at most, the update record's included (SP 800-67r2, 3.3.2).
pub const EPOCH_BLOCKS: u64 = 1 << 20;
/// Records of one direction at most: a session ends before its sequence numbers could repeat.
pub const MAX_RECORDS: u64 = 1 << 48;
/// Epochs of one direction at most.
pub const MAX_EPOCHS: u64 = 1 << 32;

/// Why a direction ended. None of these can be mended: the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The peer sent a header that no record has.
    #[error("the peer is faulty, or its stream was altered: {0}")]
    Header(#[from] FrameError),
    /// The peer sent a length that a record of this type cannot have.
    #[error(
        "the peer sent a record with a body of {0} bytes, which its type does not allow: it is faulty, or its stream was altered"
    )]
    Length(usize),
    /// A tag did not verify.
    #[error(
        "a record failed its authentication: it was altered, replayed, dropped or reordered between the peer and here"
    )]
    Forged,
    /// The peer went on under a key whose budget was spent.
    #[error("the peer used a key for more than its budget of blocks: it is faulty; upgrade it")]
    BudgetExceeded,
    /// The peer renewed a key that it had not used.
    #[error("the peer renewed a key that it had not used yet: it is faulty; upgrade it")]
    IdleUpdate,
    /// The peer sent something after its close.
    #[error(
        "a record came after the peer had closed its direction: it is faulty, or its stream was altered"
    )]
    AfterClose,
    /// The numbers of records or epochs are used up.
    #[error("this session carried all that it may: open a new one")]
    Exhausted,
    /// Something was to be sent after the close.
    #[error("this direction was closed already")]
    Closed,
    /// The direction had failed before.
    #[error("this session failed before, and its keys are erased: open a new one")]
    Dead,
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// Carries 1 to [`MAX_PLAINTEXT`] bytes.
    Data,
    /// The last of its epoch: the next record is under the next key.
    KeyUpdate,
    /// The last of its direction.
    Close,
}

/// A record's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    kind: RecordType,
    plaintext_len: usize,
}

impl RecordHeader {
    fn new(kind: RecordType, plaintext_len: usize) -> Self {
        debug_assert!(plaintext_len <= MAX_PLAINTEXT);
        Self {
            kind,
            plaintext_len,
        }
    }

    fn parse(bytes: [u8; HEADER_LEN]) -> Result<Self, RecordError> {
        let FrameHeader { frame_type, len } = FrameHeader::decode_record(bytes)?;
        let body_len = usize::from(len);
        let plaintext_len = body_len
            .checked_sub(TAG_LEN)
            .ok_or(RecordError::Length(body_len))?;
        match (frame_type, plaintext_len) {
            (FrameType::Data, 1..) => Ok(Self::new(RecordType::Data, plaintext_len)),
            (FrameType::KeyUpdate, 0) => Ok(Self::new(RecordType::KeyUpdate, 0)),
            (FrameType::Close, 0) => Ok(Self::new(RecordType::Close, 0)),
            _ => Err(RecordError::Length(body_len)),
        }
    }

    fn to_bytes(self) -> [u8; HEADER_LEN] {
        let frame_type = match self.kind {
            RecordType::Data => FrameType::Data,
            RecordType::KeyUpdate => FrameType::KeyUpdate,
            RecordType::Close => FrameType::Close,
        };
        // At most 16,400: it fits 16 bits.
        let len = self.body_len() as u16;
        FrameHeader { frame_type, len }.encode()
    }

    /// What the record is for.
    pub const fn kind(&self) -> RecordType {
        self.kind
    }

    /// Bytes of ciphertext and tag that follow the header.
    pub const fn body_len(&self) -> usize {
        self.plaintext_len + TAG_LEN
    }
}

/// When epochs and sessions end.
#[derive(Clone, Copy, Debug)]
pub struct RecordLimits {
    epoch_age: Duration,
    epoch_blocks: u64,
    records: u64,
    epochs: u64,
}

impl RecordLimits {
    /// The protocol's own limits, with epochs of `epoch_age` at most. Only the sender looks at the
    /// age.
    pub const fn new(epoch_age: Duration) -> Self {
        Self {
            epoch_age,
            epoch_blocks: EPOCH_BLOCKS,
            records: MAX_RECORDS,
            epochs: MAX_EPOCHS,
        }
    }
}
