//! Runs the handshake over a byte stream. Decides nothing: `handshake` does.

use std::io;
use std::time::Duration;

use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::sealed::Side;
use super::{ChannelError, ChannelLimits, SealedStream, Stage};
use crate::handshake::{
    Established, HandshakeError, InitiatorConfig, PeerPreamble, Preamble, Proved, ResponderConfig,
    initiator, peer, peer::PeerConfig, responder,
};
use crate::record::RecordLimits;
use crate::wire::{ALERT, DecodeError, FrameHeader, HEADER_LEN};

/// How long a peer that is refused may take to be told.
pub(super) const ALERT_TIME: Duration = Duration::from_millis(250);

/// Every handshake takes its randomness from the operating system. A generator in this process
/// would have a state, and whoever steals that could compute the keys of past sessions.
const fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Server: reads message 0 from a gateway that dialled out. Where it names a gateway that is not to
/// be served, [`refuse`].
///
/// # Errors
/// [`ChannelError`] where it is malformed or late; the peer got an alert.
pub async fn read_preamble<S: AsyncRead + AsyncWrite + Unpin>(
    io: &mut S,
    limits: &ChannelLimits,
) -> Result<Preamble, ChannelError> {
    read_first(io, limits, Preamble::decode).await
}

/// Server: reads message 0 from another server. Where that one, or the instance that it wants, is
/// none to have a link with, [`refuse`].
///
/// # Errors
/// As [`read_preamble`]; among them where a gateway dials this port.
pub async fn read_peer_preamble<S: AsyncRead + AsyncWrite + Unpin>(
    io: &mut S,
    limits: &ChannelLimits,
) -> Result<PeerPreamble, ChannelError> {
    read_first(io, limits, PeerPreamble::decode).await
}

/// Reads message 0.
async fn read_first<S: AsyncRead + AsyncWrite + Unpin, T>(
    io: &mut S,
    limits: &ChannelLimits,
    decode: fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<T, ChannelError> {
    let mut wire = Wire::new(io);
    let read = async {
        let frame = wire.receive(0).await?;
        decode(&frame).map_err(malformed)
    };
    let read = timeout(limits.handshake, read).await;
    wire.conclude(read).await
}

/// Server that dialled another one: runs the handshake and gives the sealed stream.
///
/// # Errors
/// [`ChannelError`]; the peer got an alert, where one was due.
pub async fn dial_peer<S>(
    io: S,
    config: PeerConfig,
    limits: &ChannelLimits,
) -> Result<SealedStream<S>, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Wire::new(io);
    let dialled = async {
        let ([message0, message1], next) = peer::dial(config, &mut rng())?;
        wire.send(0, &message0).await?;
        initiate(&mut wire, message1, next).await
    };
    let ran = timeout(limits.handshake, dialled).await;
    let established = wire.conclude(ran).await?;
    Ok(wire.into_stream(Side::Server, established, limits))
}

/// Server that another one dialled: runs the handshake and gives the sealed stream. The ends of
/// `config` are those that [`read_peer_preamble`] gave.
///
/// # Errors
/// [`ChannelError`]; the peer got an alert, where one was due.
pub async fn answer_peer<S>(
    io: S,
    config: PeerConfig,
    limits: &ChannelLimits,
) -> Result<SealedStream<S>, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Wire::new(io);
    let answered = async {
        let next = peer::answer(config)?;
        respond(&mut wire, next, |_| std::future::ready(Ok(()))).await
    };
    let ran = timeout(limits.handshake, answered).await;
    let established = wire.conclude(ran).await?;
    Ok(wire.into_stream(Side::Gateway, established, limits))
}

/// Refuses a connection in place of a handshake: sends the alert and closes. Tells nothing else,
/// and takes a moment at most.
pub async fn refuse<S: AsyncWrite + Unpin>(io: &mut S) {
    let alert = async {
        io.write_all(&ALERT).await?;
        io.shutdown().await
    };
    // The peer may be gone already; there is nobody to tell then.
    let _ = timeout(ALERT_TIME, alert).await;
}

/// Server: runs the initiator's side and gives the sealed stream. `preamble` is what
/// [`read_preamble`] gave, if the gateway dialled.
///
/// # Errors
/// [`ChannelError`]; the peer got an alert, where one was due.
pub async fn connect<S>(
    io: S,
    preamble: Option<&Preamble>,
    config: InitiatorConfig,
    limits: &ChannelLimits,
) -> Result<SealedStream<S>, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Wire::new(io);
    let dialled = async {
        let (message1, next) = initiator::start(config, preamble, &mut rng())?;
        initiate(&mut wire, message1, next).await
    };
    let ran = timeout(limits.handshake, dialled).await;
    let established = wire.conclude(ran).await?;
    Ok(wire.into_stream(Side::Server, established, limits))
}

/// Gateway: runs the responder's side. `preamble` is sent first, if the gateway dialled.
/// `on_proved` runs after message 3 was verified and before message 4 is sent: it stores durably
/// what changed (a pending key becomes active, a first key is taken); its error, a text for the
/// log, ends the handshake. It too is dropped when the handshake's time is up, and may have stored
/// by then: that is the same as a lost message 4.
///
/// # Errors
/// [`ChannelError`]; the peer got an alert, where one was due.
pub async fn accept<S, F, Fut>(
    io: S,
    preamble: Option<&Preamble>,
    config: ResponderConfig,
    limits: &ChannelLimits,
    on_proved: F,
) -> Result<SealedStream<S>, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnOnce(Proved) -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    let mut wire = Wire::new(io);
    let answered = async {
        let (message0, next) = responder::start(config, preamble)?;
        if let Some(message0) = message0 {
            wire.send(0, &message0).await?;
        }
        respond(&mut wire, next, on_proved).await
    };
    let ran = timeout(limits.handshake, answered).await;
    let established = wire.conclude(ran).await?;
    Ok(wire.into_stream(Side::Gateway, established, limits))
}

async fn initiate<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    message1: Vec<u8>,
    next: initiator::ExpectMessage2,
) -> Result<Established, ChannelError> {
    wire.send(1, &message1).await?;
    let message2 = wire.receive(2).await?;
    let (message3, next) = next.handle(&message2, &mut rng())?;
    wire.send(3, &message3).await?;
    let message4 = wire.receive(4).await?;
    Ok(next.handle(&message4)?)
}

async fn respond<S, F, Fut>(
    wire: &mut Wire<S>,
    next: responder::ExpectMessage1,
    on_proved: F,
) -> Result<Established, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnOnce(Proved) -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    let message1 = wire.receive(1).await?;
    let (message2, next) = next.handle(&message1, &mut rng())?;
    wire.send(2, &message2).await?;
    let message3 = wire.receive(3).await?;
    let unconfirmed = next.handle(&message3)?;
    wire.stage = Stage::Store;
    on_proved(unconfirmed.proved().clone())
        .await
        .map_err(ChannelError::NotTaken)?;
    let (message4, established) = unconfirmed.confirm();
    wire.send(4, &message4).await?;
    Ok(established)
}

/// A transport during the handshake. Reads no byte beyond the frame asked for: what follows message
/// 4 is records.
struct Wire<S> {
    io: S,
    stage: Stage,
}

impl<S> Wire<S> {
    const fn new(io: S) -> Self {
        Self {
            io,
            stage: Stage::Send(0),
        }
    }

    fn into_stream(
        self,
        side: Side,
        established: Established,
        limits: &ChannelLimits,
    ) -> SealedStream<S> {
        let limits = RecordLimits::new(limits.epoch_age);
        SealedStream::new(self.io, side, established, limits)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads one whole frame, whose length was checked before its body is read.
    async fn receive(&mut self, message: u8) -> Result<Vec<u8>, ChannelError> {
        self.stage = Stage::Message(message);
        let mut header = [0; HEADER_LEN];
        self.read(&mut header).await?;
        if is_tls(header) {
            return Err(ChannelError::Tls);
        }
        let len = FrameHeader::decode_handshake(header)
            .map_err(malformed)?
            .len;
        let mut frame = vec![0; HEADER_LEN + usize::from(len)];
        let (head, body) = frame.split_at_mut(HEADER_LEN);
        head.copy_from_slice(&header);
        self.read(body).await?;
        Ok(frame)
    }

    async fn read(&mut self, into: &mut [u8]) -> Result<(), ChannelError> {
        match self.io.read_exact(into).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ChannelError::HungUp(self.stage))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn send(&mut self, message: u8, frame: &[u8]) -> Result<(), ChannelError> {
        self.stage = Stage::Send(message);
        self.io.write_all(frame).await?;
        self.io.flush().await?;
        Ok(())
    }

    /// Turns what came of the handshake, or of its time being up, into its result; tells the peer
    /// of a failure where it does not know.
    async fn conclude<T>(
        &mut self,
        ran: Result<Result<T, ChannelError>, tokio::time::error::Elapsed>,
    ) -> Result<T, ChannelError> {
        let result = ran.unwrap_or(Err(ChannelError::Timeout(self.stage)));
        match &result {
            Ok(_)
            | Err(
                ChannelError::Io(_)
                | ChannelError::HungUp(_)
                | ChannelError::Tls
                | ChannelError::Handshake(HandshakeError::Refused),
            ) => {}
            Err(_) => refuse(&mut self.io).await,
        }
        result
    }
}

/// Whether a record of TLS begins like this: its handshake, or an alert (RFC 8446, section 5.1). No
/// frame has these types.
fn is_tls(header: [u8; HEADER_LEN]) -> bool {
    matches!(header, [0x15 | 0x16, 3, _])
}

fn malformed(error: impl Into<DecodeError>) -> ChannelError {
    HandshakeError::Malformed(error.into()).into()
}
