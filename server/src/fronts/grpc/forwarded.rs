//! What other servers forward: the same methods, for whom they vouch.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use portcullis_proto::grpc::{Bytes, Replies};
use tonic::Status;

use super::errors::kinded;
use super::identity::{Identities, Peer};
use super::methods::{Methods, Origin, Serve};
use crate::access::Caller;
use crate::admin::AdminError;
use crate::audit::Subject;
use crate::login::known_here;
use crate::peers::{Answers, Forwarded, is_moved};
use crate::services::Services;

/// Carries out what other servers forward.
pub struct ForwardedRequests {
    methods: Methods,
    identities: Arc<Identities>,
    services: Arc<Services>,
}

impl ForwardedRequests {
    /// With these services.
    pub fn new(services: &Services) -> Self {
        Self {
            methods: Methods::new(),
            identities: Arc::new(Identities::new(services.live.clone())),
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
        let identities = Arc::clone(&self.identities);
        let services = Arc::clone(&self.services);
        Box::pin(async move {
            let peer = subject.uid.map(|uid| Peer {
                uid: Some(uid),
                gid: None,
            });
            let told = Subject::told(&subject.name, subject.uid);
            let here = match told.identity() {
                Some(user) => known_here(&services.repository, user)
                    .await
                    .map_err(AdminError::from)?,
                None => identities.caller(peer).await,
            };
            let mut caller = Caller::of_peer(&subject, here);
            caller.trace = traceparent.parse().ok();
            let from = Origin {
                services,
                caller,
                forwarded: true,
            };
            let serving = serve(from, Bytes::copy_from_slice(&message));
            let replies = serving.await.map_err(|status| match is_moved(&status) {
                true => status,
                false => kinded(status),
            })?;
            Ok(kinded_replies(replies))
        })
    }
}

fn kinded_replies(replies: Replies<Bytes>) -> Replies<Bytes> {
    use tokio_stream::StreamExt as _;
    Box::pin(replies.map(|reply| reply.map_err(kinded)))
}
