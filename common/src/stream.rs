//! The tokio driver: [`connect`] and [`accept`] run a handshake over any byte stream and give a [`SealedStream`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use crate::handshake::SessionInfo;
use crate::handshake::{InitiatorConfig, Preamble, Proved, ResponderConfig};
use crate::id::KeyId;
use crate::secret::MasterKey;

/// A live session: what a [`SealedStream`] and the handlers above it share.
#[derive(Debug)]
pub struct Session {
    info: SessionInfo,
}

impl Session {
    /// Who, and how.
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// Server: wraps a new master key for an install through this session, under a key of this session and of `new_key_id`.
    pub fn wrap_master_key(&self, _new_key_id: KeyId, _key: &MasterKey) -> Vec<u8> {
        todo!()
    }

    /// Gateway: opens what the server wrapped with [`Self::wrap_master_key`].
    ///
    /// # Errors
    /// [`ChannelError`] where it was not wrapped in this session for this id.
    pub fn unwrap_master_key(
        &self,
        _new_key_id: KeyId,
        _wrapped: &[u8],
    ) -> Result<MasterKey, ChannelError> {
        todo!()
    }
}

/// Limits of one channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelLimits {
    /// The whole handshake, message 0 included (10 s).
    pub handshake: Duration,
    /// The sender ends an epoch at this age (10 minutes).
    pub epoch_age: Duration,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            epoch_age: Duration::from_secs(600),
        }
    }
}

/// Why there is no channel. For the local log: the peer gets one opaque alert.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// What was proved could not be stored, or no longer holds.
    #[error("{0}")]
    NotTaken(String),
}

/// An encrypted byte stream over `S`.
#[derive(Debug)]
pub struct SealedStream<S> {
    io: S,
    session: Arc<Session>,
}

impl<S> SealedStream<S> {
    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

/// Server: reads message 0 from a gateway that dialled out.
///
/// # Errors
/// [`ChannelError`] where it is malformed or late.
pub async fn read_preamble<S: AsyncRead + Unpin>(
    _io: &mut S,
    _limits: &ChannelLimits,
) -> Result<Preamble, ChannelError> {
    todo!()
}

/// Server: runs the initiator's side and gives the sealed stream. `preamble` is what [`read_preamble`] gave, if the gateway dialled.
///
/// # Errors
/// [`ChannelError`]; the peer got an alert, where one was due.
pub async fn connect<S>(
    _io: S,
    _preamble: Option<&Preamble>,
    _config: InitiatorConfig,
    _limits: &ChannelLimits,
) -> Result<SealedStream<S>, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    todo!()
}

/// Gateway: runs the responder's side. `preamble` is sent first, if the gateway dialled. `on_proved` runs after message 3
/// was verified and before message 4 is sent: it stores durably what changed (a pending key becomes active, a first key is taken);
/// its error, a text for the log, ends the handshake.
///
/// # Errors
/// [`ChannelError`]; the peer got an alert, where one was due.
pub async fn accept<S, F, Fut>(
    _io: S,
    _preamble: Option<&Preamble>,
    _config: ResponderConfig,
    _limits: &ChannelLimits,
    _on_proved: F,
) -> Result<SealedStream<S>, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnOnce(Proved) -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    todo!()
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SealedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let _ = &self.io;
        todo!()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SealedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        todo!()
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        todo!()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        todo!()
    }
}

/// The session behind a request, for tonic handlers: `request.extensions().get::<TcpConnectInfo or SealedConnectInfo>()`.
#[cfg(feature = "tonic")]
#[derive(Clone, Debug)]
pub struct SealedConnectInfo {
    /// The session.
    pub session: Arc<Session>,
}

#[cfg(feature = "tonic")]
impl<S> tonic::transport::server::Connected for SealedStream<S> {
    type ConnectInfo = SealedConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        SealedConnectInfo {
            session: Arc::clone(&self.session),
        }
    }
}
