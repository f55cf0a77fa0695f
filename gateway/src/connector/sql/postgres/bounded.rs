//! A stream from the server in which no message is longer than there is memory for.
//!
//! The driver collects a message until it is whole, whatever length the server gives it. This reads
//! along (PostgreSQL's documentation, "Message Formats": one byte of type, four of length) and ends
//! the connection where a length is out of bounds.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

/// Bytes of one message at the most: a row with many long values.
const MOST: u32 = 16 << 20;

/// Around what makes TLS of a stream.
pub(super) struct Bounded<T>(pub(super) T);

impl<S, T: MakeTlsConnect<S>> MakeTlsConnect<S> for Bounded<T>
where
    T::TlsConnect: TlsConnect<S, Future: Send + 'static>,
    T::Stream: 'static,
    T::Error: 'static,
{
    type Stream = BoundedStream<T::Stream>;
    type TlsConnect = BoundedConnect<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        self.0.make_tls_connect(domain).map(BoundedConnect)
    }
}

/// Around one TLS handshake.
pub(super) struct BoundedConnect<T>(T);

impl<S, T: TlsConnect<S>> TlsConnect<S> for BoundedConnect<T>
where
    T::Future: Send + 'static,
{
    type Stream = BoundedStream<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.0.connect(stream);
        Box::pin(async move {
            connecting.await.map(|inner| BoundedStream {
                inner,
                frames: Frames::default(),
            })
        })
    }
}

/// The stream of whole messages.
pub(super) struct BoundedStream<T> {
    inner: T,
    frames: Frames,
}

impl<T: AsyncRead + Unpin> AsyncRead for BoundedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.frames.pass(read))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for BoundedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<T: TlsStream + Unpin> TlsStream for BoundedStream<T> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// Where in a message the stream is.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; 5],
    /// Bytes of the header that are there.
    have: usize,
    /// Bytes of the message that are to come.
    left: usize,
}

impl Frames {
    fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.header.get_mut(self.have) {
                *place = first;
            }
            self.have += 1;
            bytes = rest;
            if self.have == self.header.len() {
                self.have = 0;
                self.left = self.length()?;
            }
        }
        Ok(())
    }

    fn length(&self) -> io::Result<usize> {
        let [_, length @ ..] = self.header;
        let length = u32::from_be_bytes(length);
        if !(4..=MOST).contains(&length) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the server announces a message of {length} bytes: 4 to {MOST} are taken"),
            ));
        }
        usize::try_from(length - 4).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32) -> Vec<u8> {
        let body = vec![b'x'; usize::try_from(length).unwrap() - 4];
        [b"D".as_slice(), &length.to_be_bytes(), &body].concat()
    }

    #[test]
    fn sound_messages_pass_however_they_are_cut() {
        let stream = [message(4), message(5), message(300), message(4)].concat();
        for size in 1..stream.len() {
            let mut frames = Frames::default();
            for piece in stream.chunks(size) {
                frames.pass(piece).unwrap();
            }
            assert_eq!((frames.have, frames.left), (0, 0), "{size}");
        }
    }

    #[test]
    fn an_endless_or_negative_length_ends_the_stream() {
        for length in [0, 3, MOST + 1, 0x7fff_ffff, u32::MAX] {
            let header = [b"D".as_slice(), &length.to_be_bytes()].concat();
            let mut frames = Frames::default();
            frames.pass(&message(9)).unwrap();
            assert!(frames.pass(&header).is_err(), "{length}");
        }
    }
}
