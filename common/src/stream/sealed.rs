//! The encrypted byte stream.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::ChannelError;
use super::inbox::{Inbox, Step};
use super::outbox::Outbox;
use super::session::{Half, Session};
use crate::handshake::Established;
use crate::record::{Activity, Moment, Opener, RecordError, RecordLimits, Sealer};

/// An encrypted byte stream over `S`.
///
/// Reads give plaintext only once its record was verified, and the end of the stream only where the
/// peer closed it: a connection that was cut is an [`io::ErrorKind::UnexpectedEof`]. Writes are
/// gathered and go out with a flush, with a shutdown, or when 32 KiB wait. A read or write that is
/// dropped half-way loses nothing and repeats nothing. Any error ends the session in both
/// directions, for good. One that is not the transport's own holds a [`ChannelError`]
/// (`io::Error::get_ref`).
pub struct SealedStream<S> {
    io: S,
    session: Arc<Session>,
    inbox: Inbox,
    outbox: Outbox,
    /// Why the session ended.
    end: Option<End>,
    began: Instant,
    activity: Activity,
    /// Bytes that came or went since the last moment with nothing to do.
    moved: u64,
    /// The last read found nothing.
    is_starved: bool,
    /// Nothing was read or written since the last flush.
    is_flushed: bool,
}

/// Why a session ended, to be told to every later caller.
#[derive(Clone, Copy, Debug)]
enum End {
    Io(io::ErrorKind),
    Record(RecordError),
    Truncated,
    Closed,
}

impl End {
    fn to_error(self) -> io::Error {
        let (kind, error) = match self {
            Self::Io(kind) => return kind.into(),
            Self::Record(error) => (io::ErrorKind::InvalidData, ChannelError::Record(error)),
            Self::Truncated => (io::ErrorKind::UnexpectedEof, ChannelError::Truncated),
            Self::Closed => (io::ErrorKind::ConnectionAborted, ChannelError::Closed),
        };
        io::Error::new(kind, error)
    }
}

/// Which of the two directions of a session is sent on here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Server,
    Gateway,
}

impl<S> SealedStream<S> {
    pub(super) fn new(io: S, side: Side, established: Established, limits: RecordLimits) -> Self {
        let info = established.info;
        let (send, receive) = match side {
            Side::Server => (established.server_to_gateway, established.gateway_to_server),
            Side::Gateway => (established.gateway_to_server, established.server_to_gateway),
        };
        let kind = info.key_id.kind();
        Self {
            io,
            inbox: Inbox::new(Opener::new(receive, kind, info.suite, limits)),
            outbox: Outbox::new(Sealer::new(send, kind, info.suite, limits)),
            session: Arc::new(Session::new(
                info,
                established.install,
                established.exporter,
            )),
            end: None,
            began: Instant::now(),
            activity: Activity::default(),
            moved: 0,
            is_starved: false,
            is_flushed: false,
        }
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends the session: erases the keys of both directions, and wakes whoever waits on the other
    /// half.
    fn fail(&mut self, end: End) -> io::Error {
        self.end = Some(end);
        self.inbox.kill();
        self.outbox.kill();
        self.session.close();
        end.to_error()
    }

    fn fail_io(&mut self, error: io::Error) -> io::Error {
        self.fail(End::Io(error.kind()));
        error
    }

    /// Whether the session still lives.
    fn check(&mut self) -> io::Result<()> {
        match self.end {
            Some(end) => Err(end.to_error()),
            None if self.session.is_closed() => Err(self.fail(End::Closed)),
            None => Ok(()),
        }
    }

    /// Where there is nothing to do now, neither to be read nor to be sent, makes ready what will
    /// be needed next, or gives back what will not.
    fn use_the_moment(&mut self) {
        if !(self.is_starved && self.is_flushed) || self.moved == 0 {
            return;
        }
        let now = self.now();
        match self.activity.nothing_to_do(now, self.moved) {
            Moment::Prepare => {
                self.outbox.prepare(now);
                self.inbox.prepare(now);
            }
            Moment::Rest => {
                self.outbox.rest();
                self.inbox.rest();
            }
        }
        self.moved = 0;
    }

    /// Waits for the transport, and no longer than the session lives.
    fn wait<T>(&mut self, half: Half, cx: &Context<'_>) -> Poll<io::Result<T>> {
        if self.session.watch(half, cx) {
            return Poll::Ready(Err(self.fail(End::Closed)));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> SealedStream<S> {
    /// Reads once from the transport.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = match self.inbox.room() {
            Ok(room) => room,
            Err(error) => return Poll::Ready(Err(self.fail(End::Record(error)))),
        };
        let mut room = ReadBuf::new(room);
        let polled = Pin::new(&mut self.io).poll_read(cx, &mut room);
        let len = room.filled().len();
        match polled {
            Poll::Ready(Ok(())) if len == 0 => Poll::Ready(Err(self.fail(End::Truncated))),
            Poll::Ready(Ok(())) => {
                self.inbox.arrived(len);
                self.moved += len as u64;
                (self.is_starved, self.is_flushed) = (false, false);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.fail_io(error))),
            Poll::Pending => {
                self.is_starved = true;
                self.use_the_moment();
                self.wait(Half::Read, cx)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> SealedStream<S> {
    /// Hands the records that wait to the transport.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let waiting = self.outbox.waiting();
            if waiting.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.io).poll_write(cx, waiting) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.fail_io(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(len)) => {
                    self.outbox.taken(len);
                    self.moved += len as u64;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail_io(error))),
                Poll::Pending => return self.wait(Half::Write, cx),
            }
        }
    }

    /// Seals what was written and hands it to the transport.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = self.outbox.finish() {
            return Poll::Ready(Err(self.fail(End::Record(error))));
        }
        self.poll_drain(cx)
    }

    fn poll_flush_io(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(|error| self.fail_io(error))),
            Poll::Pending => self.wait(Half::Write, cx),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SealedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        let before = buf.filled().len();
        loop {
            this.inbox.hand_out(buf);
            if buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let handed_out = buf.filled().len() > before;
            match this.inbox.open_next() {
                Ok(Step::Plaintext) => {}
                Ok(Step::Closed) => return Poll::Ready(Ok(())),
                Ok(Step::Starved) if handed_out => return Poll::Ready(Ok(())),
                Ok(Step::Starved) => ready!(this.poll_fill(cx))?,
                Err(error) => {
                    let error = this.fail(End::Record(error));
                    // What was verified before is still the caller's; the next read tells the
                    // error.
                    return Poll::Ready(if handed_out { Ok(()) } else { Err(error) });
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SealedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        if this.outbox.is_closed() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if this.outbox.is_full() && this.poll_send(cx)?.is_pending() && this.outbox.is_full() {
            return Poll::Pending;
        }
        let len = match this.outbox.write(this.now(), bufs) {
            Ok(len) => len,
            Err(error) => return Poll::Ready(Err(this.fail(End::Record(error)))),
        };
        this.is_flushed = false;
        if this.outbox.is_full()
            && let Poll::Ready(Err(error)) = this.poll_drain(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        ready!(this.poll_flush_io(cx))?;
        this.is_flushed = true;
        this.use_the_moment();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.check().is_ok() {
            if let Err(error) = this.outbox.close() {
                return Poll::Ready(Err(this.fail(End::Record(error))));
            }
            ready!(this.poll_flush_io(cx))?;
        }
        // A session that failed sends nothing more, but its transport is closed all the same.
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<S> Drop for SealedStream<S> {
    fn drop(&mut self) {
        self.session.close();
    }
}

impl<S> fmt::Debug for SealedStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedStream")
            .field("session", self.session.info())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::crypto::suites::Suite;
    use crate::handshake::{InitiatorConfig, ResponderConfig};
    use crate::id::{GatewayId, KeyId, KeyKind, ServerId};
    use crate::rotation::{HeldKey, Identity};
    use crate::secret::MasterKey;
    use crate::stream::{ChannelLimits, accept, connect};

    /// The server's and the gateway's end.
    async fn pair(suite: Suite) -> (SealedStream<DuplexStream>, SealedStream<DuplexStream>) {
        let rng = &mut rand::rng();
        let gateway_id = GatewayId::random(rng);
        let keys = vec![HeldKey {
            id: KeyId::random(KeyKind::Tdes, rng),
            key: MasterKey::random(KeyKind::Tdes, rng),
        }];
        let initiator = InitiatorConfig {
            server_id: ServerId::random(rng),
            suites: vec![suite],
            gateway_id,
            keys: keys.clone(),
            pairing: None,
        };
        let responder = ResponderConfig {
            suites: vec![suite],
            identity: Identity::Keyed { gateway_id, keys },
        };
        let limits = ChannelLimits::default();
        let (a, b) = duplex(1 << 20);
        let ends = tokio::join!(
            connect(a, None, initiator, &limits),
            accept(b, None, responder, &limits, |_| async { Ok(()) }),
        );
        (ends.0.unwrap(), ends.1.unwrap())
    }

    /// Sends a request and gets it back; both sides then find nothing more.
    async fn call(
        server: &mut SealedStream<DuplexStream>,
        gateway: &mut SealedStream<DuplexStream>,
        len: usize,
    ) {
        let mut text = vec![0; len];
        server.write_all(&vec![7; len]).await.unwrap();
        server.flush().await.unwrap();
        gateway.read_exact(&mut text).await.unwrap();
        gateway.write_all(&text).await.unwrap();
        gateway.flush().await.unwrap();
        server.read_exact(&mut text).await.unwrap();
        assert_eq!(text, vec![7; len]);
        for side in [server, gateway] {
            let nothing = tokio::time::timeout(Duration::ZERO, side.read(&mut [0; 8])).await;
            assert!(nothing.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_ping_after_a_burst_gives_its_memory_back() {
        for suite in Suite::ALL {
            let (mut server, mut gateway) = pair(suite).await;
            let kept = |side: &SealedStream<DuplexStream>| side.inbox.kept() + side.outbox.kept();
            for _ in 0..100 {
                call(&mut server, &mut gateway, 10_000).await;
            }
            assert!(kept(&server) > 40_000 && kept(&gateway) > 40_000);
            tokio::time::advance(Duration::from_secs(20)).await;
            call(&mut server, &mut gateway, 17).await;
            assert!(kept(&server) < 300 && kept(&gateway) < 300);
            call(&mut server, &mut gateway, 10_000).await;
        }
    }
}
