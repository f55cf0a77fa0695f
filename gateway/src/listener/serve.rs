//! Serves the gateway's services on one sealed stream, until either side ends it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use portcullis_common::stream::SealedStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tonic::transport::Server;

use super::links::{Link, Order};
use super::services::Services;

/// How long a session that was replaced takes the calls that the server sent before it knew.
const RETIRE_GRACE: Duration = Duration::from_secs(5);
/// How long a session that was replaced may carry the calls it has.
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);
/// A peer that says nothing for this long is asked, …
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// … and given up when it has not answered after this.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests under way at once in one session; the gateway's limit on calls is another, for all
/// sessions.
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
    let session = Arc::clone(stream.session());
    let mut order = link.order();
    let ended = Arc::clone(&session);
    let calls = services.calls().clone();
    let retired = Arc::clone(link);
    let stop = async move {
        tokio::select! {
            () = ended.closed() => {}
            () = draining(&mut order) => calls.drain(),
            () = calls.broken() => retired.tell(Order::Drain),
        }
    };
    // Pending after its one connection: the server would return, and leave the connection to
    // itself, when this ended.
    let incoming = stream::iter([Ok::<_, io::Error>(stream)]).chain(stream::pending());
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
    session.close();
    serving.await
}

/// Ends when the link is to take no new calls.
async fn draining(order: &mut watch::Receiver<Order>) {
    told(order, Order::Retire).await;
    tokio::select! {
        () = tokio::time::sleep(RETIRE_GRACE) => {}
        () = told(order, Order::Drain) => {}
    }
}

/// Ends when the link has to end whatever it still carries.
async fn patience(mut order: watch::Receiver<Order>) {
    told(&mut order, Order::Retire).await;
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
