//! Why there is no channel, or none any more.

use std::{fmt, io};

use crate::handshake::{HandshakeError, InstallSecretError};
use crate::record::RecordError;

/// What a handshake was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The peer's message of this number, 0 to 4.
    Message(u8),
    /// The transport, to take this side's message of this number.
    Send(u8),
    /// This side's own store, to take what was proved.
    Store,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(number) => write!(f, "waiting for the peer's message {number}"),
            Self::Send(number) => write!(f, "sending message {number}"),
            Self::Store => f.write_str("storing what the peer had proved"),
        }
    }
}

/// Why there is no channel, or none any more. For the local log: a peer gets one opaque alert at
/// most.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The handshake's time was up.
    #[error(
        "the handshake took too long, {0}: look whether the peer is overloaded, or no Portcullis peer at all"
    )]
    Timeout(Stage),
    /// The peer went away during the handshake.
    #[error("the peer closed the connection, {0}: its own log has the cause")]
    HungUp(Stage),
    /// The peer speaks TLS, or wants it spoken.
    #[error(
        "the peer speaks TLS, and this side does not: give this side a [tls] section; where the server dials, and has one, `portcullis gateway set NAME --require-tls true`"
    )]
    Tls,
    /// The handshake was refused, here or by the peer: [`HandshakeError`] says by whom and why.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A record was refused, or could not be sealed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The connection ended without the peer's authenticated close.
    #[error(
        "the connection was cut: the peer had not closed the session, so what it sent last may be missing"
    )]
    Truncated,
    /// [`Session::close`](super::Session::close) was called.
    #[error("the session was closed on this side: it was replaced, evicted or revoked")]
    Closed,
    /// An install that came through this session was not taken.
    #[error(transparent)]
    Install(#[from] InstallSecretError),
    /// What was proved could not be stored, or no longer holds.
    #[error("{0}")]
    NotTaken(String),
}
