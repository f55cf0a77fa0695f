//! What other servers forward: the same methods, for whom they vouch.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use portcullis_proto::grpc::{Bytes, Replies};
use tonic::Status;

use super::errors::kinded;
use super::methods::{Methods, Origin, Serve};
use crate::access::Caller;
use crate::peers::{Answers, Forwarded};
use crate::services::Services;

/// Carries out what other servers forward.
pub struct ForwardedRequests {
    methods: Methods,
    services: Arc<Services>,
}

impl ForwardedRequests {
    /// With these services.
    pub fn new(services: &Services) -> Self {
        Self {
            methods: Methods::new(),
            services: Arc::new(services.clone()),
        }
    }
}

impl Answers for ForwardedRequests {
    fn answer(&self, forwarded: Forwarded) -> BoxFuture<'static, Result<Replies<Bytes>, Status>> {
        let Forwarded {
            method,
            subject,
            message,
            traceparent,
        } = forwarded;
        let endpoint = self.methods.named(&method);
        let Some(Serve::One(serve)) = endpoint.map(|endpoint| endpoint.serve) else {
            let message = format!(
                "the server that holds the gateway's link knows no {method}: it is of an earlier version"
            );
            return Box::pin(std::future::ready(Err(kinded(Status::unimplemented(
                message,
            )))));
        };
        let mut caller = Caller::of_peer(&subject);
        caller.trace = traceparent.parse().ok();
        let from = Origin {
            services: Arc::clone(&self.services),
            caller,
            forwarded: true,
        };
        let serving = serve(from, Bytes::copy_from_slice(&message));
        Box::pin(async move {
            let replies = serving.await.map_err(kinded)?;
            Ok(kinded_replies(replies))
        })
    }
}

fn kinded_replies(replies: Replies<Bytes>) -> Replies<Bytes> {
    use tokio_stream::StreamExt as _;
    Box::pin(replies.map(|reply| reply.map_err(kinded)))
}
