//! From a method's path to its service, past [`authorize`].

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::{Request, Response};
use portcullis_proto::admin::v1::calls_server::CallsServer;
use portcullis_proto::admin::v1::gateways_server::GatewaysServer;
use portcullis_proto::admin::v1::keys_server::KeysServer;
use portcullis_proto::admin::v1::resources_server::ResourcesServer;
use portcullis_proto::admin::v1::system_server::SystemServer;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

use super::authorize::{Peer, authorize};
use super::calls::CallsApi;
use super::gateways::GatewaysApi;
use super::keys::KeysApi;
use super::resources::ResourcesApi;
use super::system::SystemApi;
use crate::serve::Services;

/// The largest request, in bytes: many times the largest sensible call.
const MAX_REQUEST: usize = 1 << 20;

/// All services of the admin API. Nothing behind it is reached without [`authorize`].
#[derive(Clone)]
pub(super) struct Router {
    system: SystemServer<SystemApi>,
    gateways: GatewaysServer<GatewaysApi>,
    keys: KeysServer<KeysApi>,
    resources: ResourcesServer<ResourcesApi>,
    calls: CallsServer<CallsApi>,
}

impl Router {
    pub(super) fn new(services: &Services) -> Self {
        macro_rules! bounded {
            ($server:ident, $api:ident) => {
                $server::new($api(services.clone())).max_decoding_message_size(MAX_REQUEST)
            };
        }
        Self {
            system: bounded!(SystemServer, SystemApi),
            gateways: bounded!(GatewaysServer, GatewaysApi),
            keys: bounded!(KeysServer, KeysApi),
            resources: bounded!(ResourcesServer, ResourcesApi),
            calls: bounded!(CallsServer, CallsApi),
        }
    }
}

impl Service<Request<Body>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.uri().path();
        let peer = request.extensions().get::<Peer>();
        if let Err(refusal) = authorize(peer, method) {
            tracing::warn!(?peer, method, "refused an administrator's request");
            return answer(&refusal);
        }
        let service = method
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .map(|(service, _)| service.to_owned());
        match service.as_deref() {
            Some(SystemServer::<SystemApi>::NAME) => self.system.call(request),
            Some(GatewaysServer::<GatewaysApi>::NAME) => self.gateways.call(request),
            Some(KeysServer::<KeysApi>::NAME) => self.keys.call(request),
            Some(ResourcesServer::<ResourcesApi>::NAME) => self.resources.call(request),
            Some(CallsServer::<CallsApi>::NAME) => self.calls.call(request),
            _ => answer(&Status::new(
                Code::Unimplemented,
                "there is no such service",
            )),
        }
    }
}

fn answer(status: &Status) -> BoxFuture<Response<Body>, Infallible> {
    let response = status.clone().into_http();
    Box::pin(std::future::ready(Ok(response)))
}
