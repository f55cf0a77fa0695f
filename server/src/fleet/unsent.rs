//! What was let through and has not left this program yet.
//!
//! A call that the gate let through may wait in HTTP/2, whose window is full, or in the sealed
//! channel, whose peer takes nothing. A server may say that it goes by a withdrawal only when none
//! of that is left:
//!
//! ```text
//!   gate ── frame ──▶ HTTP/2: queue ──▶ its buffer ──▶ sealed channel ──▶ socket
//!   ╰──── one poll ────╯   │ holds the mark  │ one poll          │ flushed
//! ```

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::body::Body;

use super::lock;

/// From one look whether all is sent to the next.
const LOOK: Duration = Duration::from_millis(2);

/// What goes out over one connection. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsent(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Polls of the task of the connection that began, and those that ended.
    began: AtomicU64,
    ended: AtomicU64,
    /// Held by each frame from the gate to the buffer of HTTP/2; another one after each look.
    mark: Mutex<Arc<()>>,
    /// Something was written that is not flushed.
    dirty: AtomicBool,
    flushes: AtomicU64,
    /// The connection is gone: nothing is sent any more.
    over: AtomicBool,
}

impl Shared {
    /// Gives what is let through from now on another mark. The former one is held by what it marks
    /// alone, and is given back.
    fn next_mark(&self) -> Weak<()> {
        let former = std::mem::take(&mut *lock(&self.mark));
        Arc::downgrade(&former)
    }
}

impl Unsent {
    /// Resolves when all that was let through before is handed to the operating system, or the
    /// connection is gone.
    pub(super) async fn is_sent(&self) {
        let shared = &self.0;
        // A frame that is being let through has its mark when this poll ends.
        self.polled().await;
        let marked = shared.next_mark();
        self.until(|| marked.strong_count() == 0).await;
        let flushes = shared.flushes.load(Ordering::SeqCst);
        // HTTP/2 writes what is in its buffer in the poll that put it there, or is kept from it.
        self.polled().await;
        self.until(|| {
            !shared.dirty.load(Ordering::SeqCst) || shared.flushes.load(Ordering::SeqCst) > flushes
        })
        .await;
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::SeqCst)
    }

    /// A body whose frames are watched.
    pub(super) fn body(&self, body: Body) -> Body {
        let shared = Arc::clone(&self.0);
        let watched = body.map_frame(move |frame| {
            frame.map_data(|bytes| {
                let mark = Arc::clone(&lock(&shared.mark));
                Bytes::from_owner(Marked { bytes, _mark: mark })
            })
        });
        Body::new(watched)
    }

    /// The task of the connection, whose polls are watched.
    pub(super) async fn task(self, work: impl Future<Output = ()> + Send) {
        let over = Over(self);
        let Unsent(shared) = &over.0;
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            shared.began.fetch_add(1, Ordering::SeqCst);
            let polled = work.as_mut().poll(cx);
            shared.ended.fetch_add(1, Ordering::SeqCst);
            polled
        })
        .await;
    }

    /// What the connection writes to, watched.
    pub(super) fn io<S>(&self, io: S) -> Watched<S> {
        Watched {
            io,
            shared: Arc::clone(&self.0),
        }
    }

    /// Resolves when no poll is under way that began before.
    async fn polled(&self) {
        let began = self.0.began.load(Ordering::SeqCst);
        self.until(|| self.0.ended.load(Ordering::SeqCst) >= began)
            .await;
    }

    async fn until(&self, holds: impl Fn() -> bool + Send) {
        while !holds() && !self.is_over() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A frame, which holds its mark for as long as it waits.
struct Marked {
    bytes: Bytes,
    _mark: Arc<()>,
}

impl AsRef<[u8]> for Marked {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Says that a connection is gone, however its task ends.
struct Over(Unsent);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.0.over.store(true, Ordering::SeqCst);
    }
}

/// A stream of which it is known whether all that was written to it is flushed.
pub(super) struct Watched<S> {
    io: S,
    shared: Arc<Shared>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.dirty.store(true, Ordering::SeqCst);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.dirty.store(true, Ordering::SeqCst);
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.shared.dirty.store(false, Ordering::SeqCst);
            self.shared.flushes.fetch_add(1, Ordering::SeqCst);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio::time::timeout;
    use tower::Service as _;

    use super::super::transport::{self, KeepAlive};
    use super::*;

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(20);
    /// Long enough for what is not kept back.
    const SHORT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn what_waits_for_a_peer_that_takes_nothing_is_unsent_until_it_takes_it_or_is_gone() {
        for is_read in [true, false] {
            let (near, mut far) = duplex(256);
            let keep_alive = KeepAlive {
                interval: LONG,
                timeout: LONG,
            };
            let (mut requests, unsent) = transport::start(near, keep_alive).await.unwrap();
            let whole = || timeout(SHORT, unsent.is_sent());
            let mut read = vec![0; 256];
            // The preface of HTTP/2.
            let _ = timeout(SHORT, async {
                while far.read(&mut read).await.unwrap() > 0 {}
            })
            .await;
            whole().await.unwrap();
            let call = http_body_util::Full::new(Bytes::from(vec![7; 10_000]));
            let call = call.map_err(|never| match never {});
            let request = Request::post("http://gateway.portcullis/");
            let request = request.body(Body::new(call)).unwrap();
            std::future::poll_fn(|cx| requests.poll_ready(cx))
                .await
                .unwrap();
            let answer = tokio::spawn(requests.call(request));
            // Some of it is out, and the rest is kept back.
            let mut taken = 0;
            while taken < 400 {
                taken += far.read(&mut read).await.unwrap();
            }
            assert!(whole().await.is_err());
            if is_read {
                let reads = tokio::spawn(async move {
                    while far.read(&mut read).await.is_ok_and(|len| len > 0) {}
                });
                timeout(LONG, unsent.is_sent()).await.unwrap();
                assert!(!unsent.is_over());
                reads.abort();
            } else {
                drop(far);
                timeout(LONG, unsent.is_sent()).await.unwrap();
            }
            answer.abort();
        }
    }
}
