//! Answers what another server asks over a link that it dialled.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use portcullis_common::handshake::{CallSecrets, ExporterSecret, Way};
use portcullis_common::stream::SealedStream;
use portcullis_proto::peer::v1::peers_server::{self, PeersServer};
use portcullis_proto::peer::v1::{ForwardAnswer, ForwardRequest};
use tokio::net::TcpStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::{Answers, Forwarded, MAX_MESSAGE};

/// Requests under way at once in one link.
const MAX_AT_ONCE: u32 = 256;
/// Windows of HTTP/2 in bytes: what may have come in and is not read yet.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of headers of one request.
const MAX_HEADERS: u32 = 16 << 10;
/// Bytes that name a request at most.
const MAX_ID: usize = 64;

/// Serves one link until either side ends it; once `retired` ends, only what was begun.
///
/// # Errors
/// What ended it, where it did not end in order.
pub(super) async fn serve(
    sealed: SealedStream<TcpStream>,
    answers: Arc<dyn Answers>,
    keep_alive: Duration,
    retired: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let session = Arc::clone(sealed.session());
    let answering = Answering {
        exporter: session.exporter().clone(),
        answers,
    };
    let service = PeersServer::new(answering).max_decoding_message_size(MAX_MESSAGE);
    let stop = async {
        tokio::select! {
            () = session.closed() => {}
            () = retired => {}
        }
    };
    // Pending after its one connection: the server would return, and leave the connection to
    // itself, when this ended.
    let incoming = stream::iter([Ok::<_, io::Error>(sealed)]).chain(stream::pending());
    Server::builder()
        .http2_keepalive_interval(Some(keep_alive))
        .http2_keepalive_timeout(Some(keep_alive))
        .http2_max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(Some(MAX_AT_ONCE))
        .initial_stream_window_size(Some(STREAM_WINDOW))
        .initial_connection_window_size(Some(CONNECTION_WINDOW))
        .serve_with_incoming_shutdown(service, incoming, stop)
        .await
}

struct Answering {
    exporter: ExporterSecret,
    answers: Arc<dyn Answers>,
}

type Sealed = Pin<Box<dyn Stream<Item = Result<ForwardAnswer, Status>> + Send>>;

#[tonic::async_trait]
impl peers_server::Peers for Answering {
    type ForwardStream = Sealed;

    async fn forward(&self, request: Request<ForwardRequest>) -> Result<Response<Sealed>, Status> {
        let request = request.into_inner();
        let id = request.id;
        if !(1..=MAX_ID).contains(&id.len()) {
            return Err(Status::invalid_argument(
                "a request has an id of 1 to 64 bytes",
            ));
        }
        let message = CallSecrets::new(&self.exporter, Way::Call, &id).open(&request.sealed);
        let message = message.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let subject = request.subject;
        let forwarded = Forwarded {
            method: request.method,
            subject: subject.ok_or_else(|| Status::invalid_argument("on whose behalf?"))?,
            message,
            traceparent: request.traceparent,
        };
        let replies = self.answers.answer(forwarded).await?;
        let mut seals = CallSecrets::new(&self.exporter, Way::Answer, &id);
        Ok(Response::new(Box::pin(replies.map(move |reply| {
            let sealed = seals.seal(&reply?, &mut rand::rng());
            Ok(ForwardAnswer { sealed })
        }))))
    }
}
