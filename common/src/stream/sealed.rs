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
use crate::record::{Opener, RecordError, RecordLimits, Sealer};

/// An encrypted byte stream over `S`.
///
/// Reads give plaintext only once its record was verified, and the end of the stream only where the peer closed it: a
/// connection that was cut is an [`io::ErrorKind::UnexpectedEof`]. Writes are gathered and go out with a flush, with a
/// shutdown, or when 16 KiB wait. To drop a read or write half-way loses and repeats nothing. Any error ends the session
/// in both directions, for good; [`ChannelError::in_io`] says which it was.
pub struct SealedStream<S> {
    io: S,
    session: Arc<Session>,
    inbox: Inbox,
    outbox: Outbox,
    /// Why the session ended.
    end: Option<End>,
    began: Instant,
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
        }
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends the session: erases the keys of both directions, and wakes whoever waits on the other half.
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
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.fail_io(error))),
            Poll::Pending => {
                self.inbox.ran_dry();
                self.wait(Half::Read, cx)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> SealedStream<S> {
    /// Hands what waits to the transport.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.waiting().is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, self.outbox.waiting()) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.fail_io(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(len)) => self.outbox.taken(len),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail_io(error))),
                Poll::Pending => return self.wait(Half::Write, cx),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush_io(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
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
                    // What was verified before is still the caller's; the next read tells the error.
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
        if this.outbox.is_full() {
            let drained = this.poll_drain(cx)?;
            if drained.is_pending() && this.outbox.is_full() {
                return Poll::Pending;
            }
        }
        let len = match this.outbox.seal(this.now(), bufs) {
            Ok(len) => len,
            Err(error) => return Poll::Ready(Err(this.fail(End::Record(error)))),
        };
        if this.outbox.is_worth_sending()
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
        this.poll_flush_io(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.check().is_ok() {
            if let Err(error) = this.outbox.close() {
                return Poll::Ready(Err(this.fail(End::Record(error))));
            }
            ready!(this.poll_flush_io(cx))?;
        }
        // A session that failed says no more, but its transport is closed all the same.
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
