//! Transports that do all that a transport may, and record what passes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Cuts reads and writes short at random, and has them wait for no reason.
pub struct Choppy<S> {
    io: S,
    rng: StdRng,
}

impl<S> Choppy<S> {
    pub fn new(io: S, seed: u64) -> Self {
        Self {
            io,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// How many bytes may pass now; `None`: not now.
    fn chop(&mut self, cx: &Context<'_>) -> Option<usize> {
        if self.rng.random_bool(0.3) {
            cx.waker().wake_by_ref();
            return None;
        }
        Some(match self.rng.random_range(0..3) {
            0 => self.rng.random_range(1..4),
            1 => self.rng.random_range(1..100),
            _ => self.rng.random_range(1..40_000),
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Choppy<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(len) = this.chop(cx) else {
            return Poll::Pending;
        };
        let mut part = vec![0; len.min(buf.remaining())];
        let mut part = ReadBuf::new(&mut part);
        let polled = Pin::new(&mut this.io).poll_read(cx, &mut part);
        buf.put_slice(part.filled());
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Choppy<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.chop(cx) {
            Some(len) => Pin::new(&mut this.io).poll_write(cx, &buf[..len.min(buf.len())]),
            None => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.chop(cx) {
            Some(_) => Pin::new(&mut this.io).poll_flush(cx),
            None => Poll::Pending,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.chop(cx) {
            Some(_) => Pin::new(&mut this.io).poll_shutdown(cx),
            None => Poll::Pending,
        }
    }
}

/// Keeps a copy of all that was written, and fails every write once told to.
pub struct Tap<S> {
    io: S,
    state: Arc<Mutex<TapState>>,
}

#[derive(Default)]
pub struct TapState {
    pub written: Vec<u8>,
    pub broken: bool,
}

impl<S> Tap<S> {
    pub fn new(io: S) -> (Self, Arc<Mutex<TapState>>) {
        let state = Arc::<Mutex<TapState>>::default();
        let tap = Self {
            io,
            state: Arc::clone(&state),
        };
        (tap, state)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut state = this.state.lock().unwrap();
        if state.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let polled = Pin::new(&mut this.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(len)) = polled {
            state.written.extend_from_slice(&buf[..len]);
        }
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.poll_write(cx, first.map_or(&[], |buf| buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Splits what went over the wire into frames: type and body.
pub fn frames(mut wire: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [kind, high, low, rest @ ..] = wire {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        frames.push((*kind, rest[..len].to_vec()));
        wire = &rest[len..];
    }
    frames
}

/// A new seed, printed so that a failure can be run again.
pub fn seed() -> u64 {
    let seed = rand::rng().next_u64();
    println!("seed {seed}");
    seed
}
