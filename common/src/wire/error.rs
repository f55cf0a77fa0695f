//! Why a message is refused, and the limits that the refusals name.

use super::frame::FrameError;

/// The version of the protocol, first byte of message 1.
pub const VERSION: u8 = 1;
/// Bytes of a gateway's name in message 0 at most.
pub const MAX_NAME_LEN: usize = 64;

/// Why a message is malformed. The peer is at fault, or is no peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame around it.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It ends before its last field.
    #[error("the message ends before its last field")]
    Truncated,
    /// Bytes follow its last field.
    #[error("bytes follow the message's last field")]
    TrailingBytes,
    /// Another version of the protocol.
    #[error(
        "the peer speaks version {0} of the protocol, this program version {VERSION}: update the older one"
    )]
    Version(u8),
    /// Message 0 names the gateway by something unknown.
    #[error("message 0 names the gateway in an unknown way ({0})")]
    PreambleKind(u8),
    /// A name that is empty, longer than 64 bytes, no UTF-8, or holds a control character.
    #[error(
        "message 0 holds no valid name (1 to {MAX_NAME_LEN} bytes of UTF-8, no control characters)"
    )]
    Name,
    /// A mode that does not exist.
    #[error("mode {0} is unknown")]
    Mode(u8),
    /// A suite that does not exist.
    #[error("suite {0} is unknown")]
    Suite(u16),
    /// A kind of key that does not exist.
    #[error("the kind of a key id is unknown")]
    KeyKind,
    /// A list that is empty, or longer than it may be.
    #[error("message 1 lists no suite, or too many suites or key ids")]
    ListLength,
    /// A list that holds something twice.
    #[error("message 1 lists a suite or a key id twice")]
    Duplicate,
    /// The default key's id stands before another.
    #[error("message 1 lists the default key before another")]
    DefaultKeyNotLast,
    /// The mode, the gateway's id and the key's id contradict one another.
    #[error("mode, gateway id and key id contradict one another")]
    Contradiction,
    /// A wrapped key of another length than the key's id implies.
    #[error("a wrapped key has another length than its id implies")]
    WrappedLength,
}
