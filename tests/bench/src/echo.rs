//! The peers' service: a unary call that answers with what it was given, and a stream without end,
//! in plain tonic.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::stream::{self, Stream, StreamExt};
use portcullis_proto::gateway::v1 as pb;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// Bytes of content in each item of the bulk stream.
pub const BULK_ITEM: usize = 64 * 1024;
/// The attribute that carries a payload.
pub const PAYLOAD: &str = "payload";
/// The object that a call reads.
pub const OBJECT: &str = "echo";
/// Bytes of payload that one setting of a call carries.
const SETTING: usize = 1024;
/// Settings that carry a payload: 16 KiB at most.
const SETTINGS: usize = 16;

const CALL: &str = "/portcullis.bench.Echo/Call";
const BULK: &str = "/portcullis.bench.Echo/Bulk";

/// A call that carries `payload`, at most 16 KiB of ASCII: it reads an account. Settings carry the
/// payload, since what reads carries nothing else of that size; what changes would be written into
/// a journal, which no peer has.
pub fn call(call_id: String, connector: &str, payload: &str) -> pb::Call {
    let get = pb::Get {
        object: Some(pb::ObjectRef {
            object_class: pb::ObjectClass::Account.into(),
            by: Some(pb::object_ref::By::Name(OBJECT.to_owned())),
            ..pb::ObjectRef::default()
        }),
        ..pb::Get::default()
    };
    let parts = payload
        .as_bytes()
        .chunks(SETTING)
        .map(String::from_utf8_lossy);
    pb::Call {
        call_id,
        connector: connector.to_owned(),
        settings: settings().zip(parts.map(String::from)).collect(),
        verb: Some(pb::call::Verb::Get(get)),
        ..pb::Call::default()
    }
}

/// Names of the settings that carry a payload, in the order of its parts.
pub fn settings() -> impl Iterator<Item = String> {
    (0..SETTINGS).map(|number| format!("{PAYLOAD}.{number:02}"))
}

/// The payload that an outcome gives back; `None`: the call was not carried out.
pub fn payload(outcome: &pb::Outcome) -> Option<&[u8]> {
    match outcome.result.as_ref()? {
        pb::outcome::Result::Done(done) => match done.detail.as_ref()? {
            pb::done::Detail::Object(object) => content(object),
            _ => None,
        },
        _ => None,
    }
}

/// The content of an object.
pub fn content(object: &pb::Object) -> Option<&[u8]> {
    let value = object.attributes.first()?.values.first()?;
    match value.kind.as_ref()? {
        pb::value::Kind::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

/// The object as it is read.
fn object(payload: Vec<u8>) -> pb::Object {
    pb::Object {
        object_class: pb::ObjectClass::Account.into(),
        id: "1".to_owned(),
        name: OBJECT.to_owned(),
        enabled: None,
        attributes: vec![pb::Attribute {
            name: PAYLOAD.to_owned(),
            values: vec![binary(payload)],
        }],
        ..pb::Object::default()
    }
}

fn binary(payload: Vec<u8>) -> pb::Value {
    pb::Value {
        kind: Some(pb::value::Kind::Binary(payload)),
    }
}

/// The echo as a tonic service.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl tonic::server::NamedService for Echo {
    const NAME: &'static str = "portcullis.bench.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                CALL => {
                    let mut grpc = Grpc::new(ProstCodec::default());
                    grpc.unary(Unary, request).await
                }
                BULK => {
                    let mut grpc = Grpc::new(ProstCodec::default());
                    grpc.server_streaming(Bulk, request).await
                }
                _ => Status::unimplemented("an echo does nothing else").into_http(),
            })
        })
    }
}

struct Unary;

impl UnaryService<pb::Call> for Unary {
    type Response = pb::Outcome;
    type Future = BoxFuture<Response<pb::Outcome>, Status>;

    fn call(&mut self, request: Request<pb::Call>) -> Self::Future {
        let call = request.into_inner();
        let parts = settings().filter_map(|name| call.settings.get(&name));
        let payload: Vec<u8> = parts.flat_map(|part| part.bytes()).collect();
        let outcome = Ok(Response::new(pb::Outcome {
            call_id: call.call_id,
            result: Some(pb::outcome::Result::Done(pb::Done {
                detail: Some(pb::done::Detail::Object(object(payload))),
            })),
        }));
        Box::pin(std::future::ready(outcome))
    }
}

struct Bulk;

type Items = std::pin::Pin<Box<dyn Stream<Item = Result<pb::SearchItem, Status>> + Send>>;

impl ServerStreamingService<pb::Call> for Bulk {
    type Response = pb::SearchItem;
    type ResponseStream = Items;
    type Future = BoxFuture<Response<Items>, Status>;

    fn call(&mut self, _: Request<pb::Call>) -> Self::Future {
        let item = pb::SearchItem {
            kind: Some(pb::search_item::Kind::Object(object(vec![0x5a; BULK_ITEM]))),
        };
        let items: Items = Box::pin(stream::repeat_with(move || Ok(item.clone())));
        Box::pin(std::future::ready(Ok(Response::new(items))))
    }
}

/// A client of the echo.
#[derive(Clone, Debug)]
pub struct EchoClient<T>(tonic::client::Grpc<T>);

impl<T> EchoClient<T>
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: tonic::codegen::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as tonic::codegen::Body>::Error: Into<StdError> + Send,
{
    /// Through `channel`.
    pub fn new(channel: T) -> Self {
        Self(tonic::client::Grpc::new(channel))
    }

    /// A unary call.
    ///
    /// # Errors
    /// The [`Status`] that it ended with.
    pub async fn call(&mut self, call: pb::Call) -> Result<pb::Outcome, Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static(CALL);
        let answer = self
            .0
            .unary(Request::new(call), path, ProstCodec::default());
        Ok(answer.await?.into_inner())
    }

    /// The stream without end.
    ///
    /// # Errors
    /// The [`Status`] that it did not begin for.
    pub async fn bulk(
        &mut self,
    ) -> Result<impl Stream<Item = Result<pb::SearchItem, Status>> + use<T>, Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static(BULK);
        let request = Request::new(pb::Call::default());
        let items = self
            .0
            .server_streaming(request, path, ProstCodec::default());
        Ok(items.await?.into_inner().fuse())
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unknown(error.into().to_string()))
    }
}
