//! The way to the server: gRPC on a Unix socket.

use std::io;
use std::path::Path;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::error::CliError;

/// Connects to the admin API at `path`.
///
/// # Errors
/// Says whether no server is there, or the socket belongs to another user.
pub(super) async fn connect(path: &Path) -> Result<Channel, CliError> {
    // Connected here, not by tonic, so that the reason can be told; one connection serves the whole command.
    let stream = UnixStream::connect(path)
        .await
        .map_err(|source| explain(path, source))?;
    let mut once = Some(stream);
    // The address is never dialled: the connector ignores it.
    Endpoint::from_static("http://portcullis.invalid")
        .connect_with_connector(service_fn(move |_| {
            let stream = once.take().map(TokioIo::new);
            async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        }))
        .await
        .map_err(|error| CliError::Lost {
            detail: error.to_string(),
        })
}

fn explain(path: &Path, source: io::Error) -> CliError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CliError::NoServer { path },
        io::ErrorKind::PermissionDenied => CliError::SocketForbidden { path },
        _ => CliError::Connect { path, source },
    }
}
