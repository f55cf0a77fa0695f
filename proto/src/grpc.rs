//! gRPC with messages as bytes: compiled once, here, for all methods of the administrators' API.
//!
//! A method turns its messages into bytes and back; all between them (framing, limits, status,
//! streams) knows no message. The clients in `generated/admin.rs` are written against this, and a
//! server decodes by path: [`serve`], [`serve_many`].

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub use bytes::Bytes;
use bytes::{Buf as _, BufMut as _};
use prost::Message;
use tokio_stream::{Stream, StreamExt as _};
pub use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
pub use tonic::codegen::http;
use tonic::codegen::{BoxFuture, http::uri::PathAndQuery};
use tonic::metadata::AsciiMetadataValue;
use tonic::server::{ServerStreamingService, StreamingService};
use tonic::{Code, Request, Response, Status, transport};

/// The longest message where a service says nothing else, in bytes: gRPC's own default.
pub const MAX_MESSAGE: usize = 4 << 20;

/// What a served method gives.
pub type Handled = BoxFuture<http::Response<Body>, Infallible>;

/// What a method that streams gives.
pub type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Messages as they come.
pub struct Messages<T> {
    raw: Streaming<Bytes>,
    message: PhantomData<fn() -> T>,
}

impl<T: Message + Default> Messages<T> {
    fn new(raw: Streaming<Bytes>) -> Self {
        Self {
            raw,
            message: PhantomData,
        }
    }

    /// The next message; `None`: that was all.
    ///
    /// # Errors
    /// [`Status`] of the method, or of a message that does not decode.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        self.raw.message().await?.map(decoded).transpose()
    }
}

impl<T: Message + Default> Stream for Messages<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let raw = Pin::new(&mut self.raw).poll_next(cx);
        raw.map(|next| next.map(|bytes| bytes.and_then(decoded)))
    }
}

impl<T> fmt::Debug for Messages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

fn decoded<T: Message + Default>(bytes: Bytes) -> Result<T, Status> {
    T::decode(bytes).map_err(|error| Status::internal(error.to_string()))
}

/// Is told the path of each request just before it is sent.
pub type Watcher = Arc<dyn Fn(&'static str) + Send + Sync>;

/// The metadata by which a request says which trace it belongs to, as W3C Trace Context has it.
pub const TRACEPARENT: &str = "traceparent";

/// What stands before the secret of a session in the metadata by which a request presents it.
pub const BEARER: &str = "Bearer ";

/// The metadata by which a request presents a session.
const AUTHORIZATION: &str = "authorization";

/// Where requests go.
#[derive(Clone)]
pub struct Channel {
    transport: transport::Channel,
    watcher: Option<Watcher>,
    traceparent: Option<AsciiMetadataValue>,
    authorization: Option<AsciiMetadataValue>,
}

impl Channel {
    /// One of whose requests `watcher` is told.
    pub fn watched(transport: transport::Channel, watcher: Watcher) -> Self {
        Self {
            transport,
            watcher: Some(watcher),
            traceparent: None,
            authorization: None,
        }
    }

    /// Each of its requests says that it belongs to this trace. What no metadata can hold is left
    /// out.
    #[must_use]
    pub fn within(self, traceparent: Option<&str>) -> Self {
        Self {
            traceparent: traceparent.and_then(|text| text.parse().ok()),
            ..self
        }
    }

    /// Each of its requests presents this session. What no metadata can hold is left out.
    #[must_use]
    pub fn presenting(self, session: &str) -> Self {
        let mut authorization: Option<AsciiMetadataValue> =
            format!("{BEARER}{session}").parse().ok();
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Self {
            authorization,
            ..self
        }
    }
}

impl From<transport::Channel> for Channel {
    fn from(transport: transport::Channel) -> Self {
        Self {
            transport,
            watcher: None,
            traceparent: None,
            authorization: None,
        }
    }
}

/// Calls methods over one channel.
#[derive(Clone)]
pub struct Client {
    grpc: Grpc<transport::Channel>,
    watcher: Option<Watcher>,
    traceparent: Option<AsciiMetadataValue>,
    authorization: Option<AsciiMetadataValue>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Over `channel`.
    pub fn new(channel: impl Into<Channel>) -> Self {
        let Channel {
            transport,
            watcher,
            traceparent,
            authorization,
        } = channel.into();
        Self {
            grpc: Grpc::new(transport),
            watcher,
            traceparent,
            authorization,
        }
    }

    pub(crate) async fn unary<Q: Message, A: Message + Default>(
        &mut self,
        path: &'static str,
        request: Request<Q>,
    ) -> Result<Response<A>, Status> {
        let request = request.map(|message| message.encode_to_vec().into());
        answer(self.raw_unary(path, request).await?)
    }

    pub(crate) async fn server_streaming<Q: Message, A: Message + Default>(
        &mut self,
        path: &'static str,
        request: Request<Q>,
    ) -> Result<Response<Messages<A>>, Status> {
        let request = request.map(|message| message.encode_to_vec().into());
        Ok(self
            .raw_server_streaming(path, request)
            .await?
            .map(Messages::new))
    }

    pub(crate) async fn client_streaming<S, A>(
        &mut self,
        path: &'static str,
        request: Request<S>,
    ) -> Result<Response<A>, Status>
    where
        S: Stream + Send + 'static,
        S::Item: Message,
        A: Message + Default,
    {
        let request = request.map(|messages| -> Pin<Box<dyn Stream<Item = Bytes> + Send>> {
            Box::pin(messages.map(|message| message.encode_to_vec().into()))
        });
        answer(self.raw_client_streaming(path, request).await?)
    }

    async fn raw_unary(
        &mut self,
        path: &'static str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Status> {
        let request = self.ready(path, request).await?;
        self.grpc
            .unary(request, PathAndQuery::from_static(path), BytesCodec)
            .await
    }

    async fn raw_server_streaming(
        &mut self,
        path: &'static str,
        request: Request<Bytes>,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        let request = self.ready(path, request).await?;
        self.grpc
            .server_streaming(request, PathAndQuery::from_static(path), BytesCodec)
            .await
    }

    async fn raw_client_streaming(
        &mut self,
        path: &'static str,
        request: Request<Pin<Box<dyn Stream<Item = Bytes> + Send>>>,
    ) -> Result<Response<Bytes>, Status> {
        let request = self.ready(path, request).await?;
        self.grpc
            .client_streaming(request, PathAndQuery::from_static(path), BytesCodec)
            .await
    }

    /// The request, as it is sent, once it can be.
    async fn ready<T>(
        &mut self,
        path: &'static str,
        mut request: Request<T>,
    ) -> Result<Request<T>, Status> {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Status::unknown(format!("Service was not ready: {error}")))?;
        if let Some(watcher) = &self.watcher {
            watcher(path);
        }
        if let Some(traceparent) = &self.traceparent {
            let metadata = request.metadata_mut();
            metadata.insert(TRACEPARENT, traceparent.clone());
        }
        if let Some(authorization) = &self.authorization {
            let metadata = request.metadata_mut();
            metadata.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }
}

fn answer<A: Message + Default>(raw: Response<Bytes>) -> Result<Response<A>, Status> {
    let (metadata, bytes, extensions) = raw.into_parts();
    Ok(Response::from_parts(metadata, decoded(bytes)?, extensions))
}

/// Serves a method of one message, with messages as bytes, and any number of answers.
pub fn serve<H>(request: http::Request<Body>, limit: usize, handle: H) -> Handled
where
    H: FnOnce(Bytes) -> BoxFuture<Replies<Bytes>, Status> + Send + 'static,
{
    serve_one(request, limit, Handler(Some(Box::new(handle))))
}

/// Serves a method of any number of messages, as bytes, and of answers.
pub fn serve_many<H>(request: http::Request<Body>, limit: usize, handle: H) -> Handled
where
    H: FnOnce(Replies<Bytes>) -> BoxFuture<Replies<Bytes>, Status> + Send + 'static,
{
    let handle = move |messages: Streaming<Bytes>| {
        let said = messages.map(move |message| message.map_err(|status| clearly(status, limit)));
        handle(Box::pin(said))
    };
    serve_stream(request, limit, Handler(Some(Box::new(handle))))
}

/// The library's own text says nothing of what is longer, and for whom.
fn clearly(status: Status, limit: usize) -> Status {
    if status.code() == Code::OutOfRange {
        Status::out_of_range(format!(
            "a message of the request has more than {limit} bytes, which is the most that is taken"
        ))
    } else {
        status
    }
}

type Handle<Q> = Box<dyn FnOnce(Q) -> BoxFuture<Replies<Bytes>, Status> + Send>;

/// Handles one request.
struct Handler<Q>(Option<Handle<Q>>);

impl<Q> Handler<Q> {
    fn handle(&mut self, request: Q) -> BoxFuture<Response<Replies<Bytes>>, Status> {
        let answers = self.0.take().map(|handle| handle(request));
        Box::pin(async move {
            let answers = answers.ok_or_else(|| Status::internal("a request came twice"))?;
            Ok(Response::new(answers.await?))
        })
    }
}

impl ServerStreamingService<Bytes> for Handler<Bytes> {
    type Response = Bytes;
    type ResponseStream = Replies<Bytes>;
    type Future = BoxFuture<Response<Replies<Bytes>>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        self.handle(request.into_inner())
    }
}

impl StreamingService<Bytes> for Handler<Streaming<Bytes>> {
    type Response = Bytes;
    type ResponseStream = Replies<Bytes>;
    type Future = BoxFuture<Response<Replies<Bytes>>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        self.handle(request.into_inner())
    }
}

fn serve_one(request: http::Request<Body>, limit: usize, handler: Handler<Bytes>) -> Handled {
    Box::pin(async move { Ok(server(limit).server_streaming(handler, request).await) })
}

fn serve_stream(
    request: http::Request<Body>,
    limit: usize,
    handler: Handler<Streaming<Bytes>>,
) -> Handled {
    Box::pin(async move { Ok(server(limit).streaming(handler, request).await) })
}

fn server(limit: usize) -> tonic::server::Grpc<BytesCodec> {
    tonic::server::Grpc::new(BytesCodec).apply_max_message_size_config(Some(limit), None)
}

/// Messages are bytes already.
#[derive(Clone, Copy, Debug)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
