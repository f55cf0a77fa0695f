//! HTTP/2 over one sealed stream, as a tonic client sees it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tower::Service;

use super::unsent::Unsent;

/// Window of one stream: what a search may have on the way, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Window of the whole link, in bytes.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What one stream may buffer for sending, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
const MAX_HEADER_LIST: u32 = 16 * 1024;

/// How a link is asked whether it lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// A request that did not get its response.
#[derive(Debug)]
pub(crate) struct SendError {
    /// Nothing of it has left this program.
    pub(crate) unsent: bool,
    reason: String,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for SendError {}

/// Sends requests over one connection. When the last clone is gone and the last response is in, the
/// connection closes.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    sender: SendRequest<Body>,
    unsent: Unsent,
}

impl Service<Request<Body>> for Requests {
    type Response = Response<Incoming>;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.sender.poll_ready(cx).map_err(|error| SendError {
            unsent: true,
            reason: error.to_string(),
        })
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let request = request.map(|body| self.unsent.body(body));
        let response = self.sender.try_send_request(request);
        Box::pin(async move {
            response.await.map_err(|mut error| SendError {
                unsent: error.take_message().is_some(),
                reason: error.error().to_string(),
            })
        })
    }
}

/// Speaks HTTP/2 over `io`. Gives also what tells whether all that was let through is sent.
pub(crate) async fn start<S>(
    io: S,
    keep_alive: KeepAlive,
) -> Result<(Requests, Unsent), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let unsent = Unsent::default();
    let (executor, together) = super::one_task::pair();
    let (requests, connection) = Builder::new(executor.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_LIST)
        .keep_alive_interval(keep_alive.interval)
        .keep_alive_timeout(keep_alive.timeout)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(unsent.io(io)))
        .await?;
    executor.execute(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
    });
    tokio::spawn(unsent.clone().task(together));
    let requests = Requests {
        sender: requests,
        unsent: unsent.clone(),
    };
    Ok((requests, unsent))
}
