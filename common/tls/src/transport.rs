//! What the sealed channel runs over: a connection, with TLS around it or without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::verifier::{Expected, is_gateway, names};
use crate::{Side, TlsError};

/// A connection, with TLS or without.
#[derive(Debug)]
pub enum Transport {
    /// Without.
    Plain(TcpStream),
    /// With.
    Tls(Box<TlsTransport>),
}

/// A connection with TLS.
#[derive(Debug)]
pub struct TlsTransport {
    io: TlsStream<TcpStream>,
    peer: Side,
}

impl Transport {
    pub(crate) fn tls(io: TlsStream<TcpStream>, peer: Side) -> Self {
        Self::Tls(Box::new(TlsTransport { io, peer }))
    }

    /// Whether there is TLS around it.
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Checks that the peer is the gateway of this name, as far as its certificate says; without
    /// TLS nothing is checked.
    ///
    /// # Errors
    /// [`TlsError::Certificate`].
    pub fn check_gateway(&self, name: &str) -> Result<(), TlsError> {
        let Self::Tls(tls) = self else {
            return Ok(());
        };
        let shown = tls.certificate();
        if shown.is_some_and(|shown| is_gateway(shown, name)) {
            return Ok(());
        }
        let presented = shown.map_or_else(Vec::new, names);
        let expected = Expected::Gateway(name.to_owned());
        Err(TlsError::name(Side::Gateway, &expected, &presented))
    }
}

impl TlsTransport {
    fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.io.get_ref().1.peer_certificates()?.first()
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tls = match self.get_mut() {
            Self::Plain(io) => return Pin::new(io).poll_read(cx, buf),
            Self::Tls(tls) => tls,
        };
        Poll::Ready(match ready!(Pin::new(&mut tls.io).poll_read(cx, buf)) {
            // The channel has a close of its own, and misses it as over a bare connection.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            read => read.map_err(|error| TlsError::explain(error, tls.peer)),
        })
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(&mut tls.io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut tls.io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut tls.io).poll_shutdown(cx),
        }
    }
}
