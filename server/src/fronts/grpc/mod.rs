//! The gRPC front of the admin API (`portcullis.admin.v1`), on a Unix socket.
//!
//! It finds out who calls, and turns bytes into requests and answers into bytes; all else is behind
//! `admin::dispatch`.

mod budget;
mod errors;
mod forwarded;
mod identity;
mod methods;
mod router;
mod session;
mod socket;
mod standard;

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::services::Services;
pub use forwarded::ForwardedRequests;
use identity::Peer;
use router::Router;
pub use socket::{AdminSocket, SocketError, inspect as inspect_socket};

/// Requests at once on one connection.
const MAX_REQUESTS_AT_ONCE: u32 = 256;
/// Bytes of headers of one request.
const MAX_HEADERS: u32 = 16 << 10;
/// How often a silent peer is asked whether it is there, and how long it has to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long the listener pauses after a connection that failed.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Serves the admin API on `socket` until `shutdown` ends, then lets requests that were begun come
/// to their end.
///
/// # Errors
/// [`tonic::transport::Error`] where the socket fails for good.
pub async fn serve(
    socket: AdminSocket,
    services: Services,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (connections, _bound) = socket.into_connections();
    serve_on(connections, services, shutdown).await
}

async fn serve_on<IO>(
    connections: impl Stream<Item = io::Result<IO>>,
    services: Services,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error>
where
    IO: AsyncRead + AsyncWrite + Connected<ConnectInfo = Peer> + Unpin + Send + 'static,
{
    // A connection that fails does not end the listener. That may lack something, such as file
    // descriptors, and pauses for a moment.
    let connections = connections.then(|connection| async {
        if connection.is_err() {
            tokio::time::sleep(AFTER_ERROR).await;
        }
        connection
    });
    let connections = connections.filter_map(|connection| match connection {
        Ok(connection) => Some(Ok::<_, io::Error>(connection)),
        Err(error) => {
            tracing::warn!(%error, "an administrator's connection failed");
            None
        }
    });
    let (stop, stopping) = watch::channel(false);
    let shutdown = async move {
        shutdown.await;
        // Whoever watches would keep the API from ending.
        stop.send_replace(true);
    };
    Server::builder()
        .max_concurrent_streams(MAX_REQUESTS_AT_ONCE)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .serve_with_incoming_shutdown(Router::new(&services, stopping), connections, shutdown)
        .await
}

#[cfg(test)]
mod tests;
