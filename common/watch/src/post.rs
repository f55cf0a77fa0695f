//! A request of HTTP/1.1 that takes something somewhere: each over a connection of its own.

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::request::Builder;
use http::{Method, Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Bytes of the head of an answer, at most.
const MAX_ANSWER: usize = 64 * 1024;

/// A `POST` to `url` of a body of this type, from this program.
pub fn request(url: &Uri, content_type: &str, program: &str) -> Builder {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map_or("", |host| host.as_str());
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, content_type)
        .header(USER_AGENT, program)
}

/// A connection to the host of `url`, to `port` where it names none.
///
/// # Errors
/// What the system says.
pub async fn connect(url: &Uri, port: u16) -> io::Result<TcpStream> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    TcpStream::connect((host, url.port_u16().unwrap_or(port))).await
}

/// Sends a request over a connection and takes the status; what else is answered is not read.
///
/// # Errors
/// It may have been sent, and nobody says so.
pub async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> io::Result<u16>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::Builder::new()
        .max_buf_size(MAX_ANSWER)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(io::Error::other)?;
    // Ends with this call, also where that is dropped.
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let answer = sender.send_request(request).await;
    Ok(answer.map_err(io::Error::other)?.status().as_u16())
}
