//! Serves the gateway's services on one sealed stream, until either side ends it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use portcullis_common::stream::{SealedConnectInfo, SealedStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{oneshot, watch};
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::links::{Link, Order};
use super::services::Services;

/// How long a session that was replaced may carry the calls it has.
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);
/// A peer that says nothing for this long is asked, …
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// … and given up when it has not answered after this.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests under way at once in one session; the gateway's limit on calls is another, for all sessions.
const MAX_STREAMS: u32 = 1024;
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Serves `services` until the peer leaves, or the link is told to end and has.
///
/// # Errors
/// What ended it, where it did not end in order.
pub(super) async fn serve<S>(
    stream: SealedStream<S>,
    link: &Arc<Link>,
    services: Services,
) -> Result<(), tonic::transport::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (kill, killed) = oneshot::channel();
    let (open, gone) = oneshot::channel();
    let guarded = Guarded {
        stream,
        killed: Some(killed),
        _open: open,
    };
    let mut order = link.order();
    let stop = async move {
        tokio::select! {
            _ = gone => {}
            () = told(&mut order, Order::Drain) => {}
        }
    };
    // Pending after its one connection: the server would return, and leave the connection to itself, when this ended.
    let incoming = stream::iter([Ok::<_, io::Error>(guarded)]).chain(stream::pending());
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .max_concurrent_streams(Some(MAX_STREAMS))
        .initial_stream_window_size(Some(STREAM_WINDOW))
        .initial_connection_window_size(Some(CONNECTION_WINDOW))
        .serve_with_incoming_shutdown(services, incoming, stop);
    let mut serving = Box::pin(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        () = patience(link.order()) => {}
    }
    // It may have ended this very moment.
    let _ = kill.send(());
    serving.await
}

/// Ends when the link has to end whatever it still carries.
async fn patience(mut order: watch::Receiver<Order>) {
    told(&mut order, Order::Drain).await;
    tokio::select! {
        () = tokio::time::sleep(DRAIN_PATIENCE) => {}
        () = told(&mut order, Order::Close) => {}
    }
}

async fn told(order: &mut watch::Receiver<Order>, at_least: Order) {
    if order.wait_for(|order| *order >= at_least).await.is_err() {
        // The link is gone, and with it whoever could have told.
        std::future::pending().await
    }
}

/// A stream that fails when it is killed, and tells when it is dropped.
struct Guarded<S> {
    stream: SealedStream<S>,
    killed: Option<oneshot::Receiver<()>>,
    _open: oneshot::Sender<()>,
}

impl<S: Unpin> Guarded<S> {
    fn alive(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut SealedStream<S>>> {
        if let Some(killed) = &mut self.killed
            && Pin::new(killed).poll(cx).is_ready()
        {
            self.killed = None;
        }
        if self.killed.is_none() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.alive(cx)?.poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.alive(cx)?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive(cx)?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.alive(cx)?.poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S> Connected for Guarded<S>
where
    SealedStream<S>: Connected<ConnectInfo = SealedConnectInfo>,
{
    type ConnectInfo = SealedConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}
