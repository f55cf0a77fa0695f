//! From a method's path to its use case: who calls, and whether what comes is what is logged.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use portcullis_proto::grpc;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tower::Service;

use super::identity::{Identities, Peer};
use super::methods::{Methods, NOT_ONE_MESSAGE, Origin, Serve};
use crate::admin::{Plan, admit, refuse_unknown};
use crate::services::Services;

/// The largest request, in bytes: many times the largest sensible call.
const MAX_REQUEST: usize = 1 << 20;
/// Bytes before the message in a gRPC request: whether it is compressed, and its length.
const FRAME: usize = 5;

/// All methods of the admin API.
#[derive(Clone)]
pub(super) struct Router {
    identities: Arc<Identities>,
    methods: Arc<Methods>,
    services: Arc<Services>,
}

impl Router {
    pub(super) fn new(services: &Services) -> Self {
        Self {
            identities: Arc::new(Identities::new(services.capabilities.clone())),
            methods: Arc::new(Methods::new()),
            services: Arc::new(services.clone()),
        }
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let peer = request.extensions().get::<Peer>().copied();
        let caller = self.identities.caller(peer).await;
        let services = self.services;
        let Some(endpoint) = self.methods.find(request.uri().path()) else {
            return Err(refuse_unknown(&services, &caller).await.into());
        };
        // Before the request is read: nobody has the server read what they may not ask.
        admit(&services, &caller, endpoint.method).await?;
        let from = Origin { services, caller };
        let Ok(response) = match (endpoint.serve, endpoint.method.plan) {
            (Serve::One(serve), Plan::Read | Plan::Own) => {
                grpc::serve(request, MAX_REQUEST, move |message| serve(from, message)).await
            }
            (Serve::One(serve), Plan::Change) => {
                let request = alone(request).await?;
                grpc::serve(request, MAX_REQUEST, move |message| serve(from, message)).await
            }
            (Serve::Many(serve), _) => {
                let serve = move |messages| serve(from, messages);
                grpc::serve_many(request, MAX_REQUEST, serve).await
            }
        };
        Ok(response)
    }
}

/// A request that changes something, read whole. What is logged is what the use case takes: nothing
/// stands beside the one message.
async fn alone(request: Request<Body>) -> Result<Request<Body>, Status> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, MAX_REQUEST + FRAME).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Status::out_of_range(format!(
                "the request is larger than {MAX_REQUEST} bytes"
            )));
        }
        Err(error) => return Err(Status::cancelled(error.to_string())),
    };
    if only_message(&body).is_none() {
        return Err(Status::invalid_argument(NOT_ONE_MESSAGE));
    }
    Ok(Request::from_parts(
        parts,
        Body::new(Full::<Bytes>::new(body)),
    ))
}

/// The message of a request that is that one message, uncompressed, and nothing else.
fn only_message(body: &[u8]) -> Option<&[u8]> {
    let (frame, message) = body.split_at_checked(FRAME)?;
    let [0, length @ ..] = frame else {
        return None;
    };
    let length = u32::from_be_bytes(length.try_into().ok()?);
    (usize::try_from(length).ok()? == message.len()).then_some(message)
}

impl Service<Request<Body>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let router = self.clone();
        Box::pin(async move {
            let response = router.answer(request).await;
            Ok(response.unwrap_or_else(Status::into_http))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_uncompressed_message_and_nothing_else() {
        assert_eq!(only_message(b"\0\0\0\0\x02ab"), Some(b"ab".as_slice()));
        assert_eq!(only_message(b"\0\0\0\0\0"), Some(b"".as_slice()));
        for body in [
            b"".as_slice(),
            b"\0\0\0\0",
            b"\x01\0\0\0\x02ab",
            b"\0\0\0\0\x02a",
            b"\0\0\0\0\x02ab\0\0\0\0\0",
        ] {
            assert_eq!(only_message(body), None, "{body:?}");
        }
    }
}
