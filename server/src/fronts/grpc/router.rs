//! From a method's path to its use case: who calls, and whether what comes is what is logged.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use portcullis_proto::grpc::{self, Replies};
use portcullis_watch::traces::TraceContext;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tower::Service;
use zeroize::Zeroizing;

use super::budget::{Budget, Held, MAX_OF_USER};
use super::errors::kinded;
use super::identity::{Identities, Peer};
use super::methods::{Methods, NOT_ONE_MESSAGE, Origin, Serve};
use super::session::{self, Presented};
use super::standard::{self, Standard};
use crate::admin::{Plan, Shown, admit, refuse_unknown};
use crate::services::Services;

/// The largest request, in bytes: many times the largest sensible call.
const MAX_REQUEST: usize = 1 << 20;
/// Bytes before the message in a gRPC request: whether it is compressed, and its length.
const FRAME: usize = 5;

/// Requests of one user for health and reflection that are held at once: each may go on for ever.
const MAX_STANDARD: usize = 32;

/// All methods of the admin API.
#[derive(Clone)]
pub(super) struct Router {
    budget: Budget,
    /// Of requests for health and reflection, in shares of [`MAX_OF_USER`].
    standard: Budget,
    identities: Arc<Identities>,
    methods: Arc<Methods>,
    services: Arc<Services>,
    /// True once the server stops.
    stopping: watch::Receiver<bool>,
}

impl Router {
    pub(super) fn new(services: &Services, stopping: watch::Receiver<bool>) -> Self {
        Self {
            budget: Budget::default(),
            standard: Budget::default(),
            identities: Arc::new(Identities::new(services.live.clone())),
            methods: Arc::new(Methods::new()),
            services: Arc::new(services.clone()),
            stopping,
        }
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        if let Some(method) = Standard::find(request.uri().path()) {
            return self.answer_standard(method, request).await;
        }
        let peer = request.extensions().get::<Peer>().copied();
        let mut caller = self.identities.caller(peer).await;
        let services = self.services;
        let bearer = bearer(&request).map(|bearer| Zeroizing::new(bearer.to_owned()));
        if let Some(bearer) = &bearer {
            caller = session::caller(&services, &caller, bearer).await?;
        }
        caller.trace = traced(&request);
        let Some(endpoint) = self.methods.find(request.uri().path()) else {
            return Err(refuse_unknown(&services, &caller).await.into());
        };
        // Before the request is read: no stranger has the server read anything. Who holds some
        // capability is heard to the end, so that the log says what was refused to whom.
        if caller.permissions.is_empty() || matches!(endpoint.serve, Serve::Many(_)) {
            admit(&services, &caller, endpoint.method, &Shown::default()).await?;
        }
        let presented = bearer.map(|bearer| Presented {
            services: Arc::clone(&services),
            bearer,
            from: caller.from.clone(),
            method: endpoint.method,
        });
        let holding = |answers| match presented {
            Some(presented) => presented.holds(answers),
            None => answers,
        };
        let from = Origin {
            services,
            caller,
            forwarded: false,
        };
        let mut held = self.budget.open(peer.and_then(|peer| peer.uid));
        let Ok(response) = match endpoint.serve {
            Serve::One(serve) => {
                let alone = endpoint.method.plan == Plan::Change;
                let request = gathered(request, &mut held, alone).await?;
                let serve = async move |message| Ok(holding(serve(from, message).await?));
                grpc::serve(request, MAX_REQUEST, move |message| {
                    Box::pin(serve(message))
                })
                .await
            }
            Serve::Many(serve) => {
                // It has one message after the other.
                held.grow(MAX_REQUEST)?;
                let serve = async move |messages| Ok(holding(serve(from, messages).await?));
                grpc::serve_many(request, MAX_REQUEST, move |messages| {
                    Box::pin(serve(messages))
                })
                .await
            }
        };
        Ok(response)
    }

    async fn answer_standard(
        self,
        method: Standard,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let peer = request.extensions().get::<Peer>().copied();
        let mut held = self.standard.open(peer.and_then(|peer| peer.uid));
        if held.grow(MAX_OF_USER / MAX_STANDARD).is_err() {
            return Err(kinded(Status::resource_exhausted(format!(
                "{MAX_STANDARD} of your requests for health or reflection are under way, which is all that one user's may be: end some of them first"
            ))));
        }
        let (services, stopping, limit) = (self.services, self.stopping, standard::MAX_REQUEST);
        let Ok(response) = match method {
            Standard::Check => {
                let serve = move |message| async move {
                    let answers = standard::check(services, message).await?;
                    Ok(holding(held, answers))
                };
                grpc::serve(request, limit, move |message| Box::pin(serve(message))).await
            }
            Standard::Watch => {
                let serve = move |message| {
                    let answers = standard::watch(services, stopping, message)?;
                    Ok(holding(held, answers))
                };
                grpc::serve(request, limit, move |message| {
                    Box::pin(async move { serve(message) })
                })
                .await
            }
            Standard::Reflection => {
                let serve = move |messages| holding(held, standard::reflect(stopping, messages));
                grpc::serve_many(request, limit, move |messages| {
                    Box::pin(async move { Ok(serve(messages)) })
                })
                .await
            }
        };
        Ok(response)
    }

    #[cfg(test)]
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }
}

/// The session that is presented, where one is. What is no text is none that counts.
fn bearer(request: &Request<Body>) -> Option<&str> {
    let value = request.headers().get(http::header::AUTHORIZATION)?;
    let text = value.to_str().unwrap_or_default();
    Some(text.strip_prefix(grpc::BEARER).unwrap_or_default())
}

/// The trace that a request belongs to, where its metadata say so.
fn traced(request: &Request<Body>) -> Option<TraceContext> {
    let text = request.headers().get(grpc::TRACEPARENT)?.to_str().ok()?;
    text.parse().ok()
}

/// Has answers hold `held` until their end.
fn holding(held: Held, answers: Replies<Bytes>) -> Replies<Bytes> {
    Box::pin(answers.map(move |answer| {
        let _held = &held;
        answer
    }))
}

/// A request, read whole. Of one that is to stand `alone`, what is logged is what the use case
/// takes: nothing stands beside the one message.
async fn gathered(
    request: Request<Body>,
    held: &mut Held,
    alone: bool,
) -> Result<Request<Body>, Status> {
    let (parts, mut body) = request.into_parts();
    let mut gathered = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if gathered.len() + data.len() > MAX_REQUEST + FRAME {
            return Err(Status::out_of_range(format!(
                "the request has more than {MAX_REQUEST} bytes, which is the most that is taken: nothing was begun; ask for less at once"
            )));
        }
        held.grow(data.len())?;
        gathered.extend_from_slice(&data);
    }
    if alone && only_message(&gathered).is_none() {
        return Err(Status::invalid_argument(NOT_ONE_MESSAGE));
    }
    let body = Full::new(Bytes::from(gathered));
    Ok(Request::from_parts(parts, Body::new(body)))
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
            Ok(response.unwrap_or_else(|status| kinded(status).into_http()))
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
