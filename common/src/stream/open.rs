//! Runs the handshake.
use super::*;
use crate::handshake::{InitiatorConfig, Preamble, Proved, ResponderConfig};
use tokio::io::{AsyncRead, AsyncWrite};
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
