//! From a method's path to its service, past [`authorize`] and the audit log.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use portcullis_proto::admin::v1::audit_server::AuditServer;
use portcullis_proto::admin::v1::calls_server::CallsServer;
use portcullis_proto::admin::v1::gateways_server::GatewaysServer;
use portcullis_proto::admin::v1::keys_server::KeysServer;
use portcullis_proto::admin::v1::policy_server::PolicyServer;
use portcullis_proto::admin::v1::resources_server::ResourcesServer;
use portcullis_proto::admin::v1::system_server::SystemServer;
use portcullis_proto::admin::v1::tasks_server::TasksServer;
use portcullis_proto::admin::v1::users_server::UsersServer;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

use super::identity::{Identities, Peer};
use crate::access::Caller;
use crate::admin::audit::AuditApi;
use crate::admin::authorize::authorize;
use crate::admin::calls::CallsApi;
use crate::admin::error::of_audit;
use crate::admin::gateways::GatewaysApi;
use crate::admin::keys::KeysApi;
use crate::admin::methods::{Method, Plan};
use crate::admin::note::Note;
use crate::admin::policy::PolicyApi;
use crate::admin::resources::ResourcesApi;
use crate::admin::system::SystemApi;
use crate::admin::tasks::TasksApi;
use crate::admin::users::UsersApi;
use crate::audit::{AuditLog, Outcome};
use crate::services::Services;

/// The largest request, in bytes: many times the largest sensible call.
const MAX_REQUEST: usize = 1 << 20;
/// Bytes before the message in a gRPC request: whether it is compressed, and its length.
const FRAME: usize = 5;

/// All services of the admin API. Nothing behind it is reached without [`authorize`], and no change without its audit entry.
#[derive(Clone)]
pub(super) struct Router {
    identities: Arc<Identities>,
    audit: AuditLog,
    endpoints: Endpoints,
}

impl Router {
    pub(super) fn new(services: &Services) -> Self {
        Self {
            identities: Arc::new(Identities::new(services.capabilities.clone())),
            audit: services.audit.clone(),
            endpoints: Endpoints::new(services),
        }
    }

    async fn answer(mut self, mut request: Request<Body>) -> Response<Body> {
        let peer = request.extensions().get::<Peer>().copied();
        let caller = self.identities.caller(peer).await;
        match authorize(&caller, request.uri().path()) {
            Err(refusal) => {
                self.audit
                    .refused(caller.subject, refusal.action, &refusal.reason)
                    .await;
                refusal.status.into_http()
            }
            Ok(method) => {
                request.extensions_mut().insert(caller.clone());
                match method.plan {
                    Plan::Read | Plan::Own => self.endpoints.call(request).await,
                    Plan::Change(object) => self.change(caller, method, object, request).await,
                }
            }
        }
    }

    /// Calls a method that changes something, between the entries `begun` and its outcome.
    async fn change(
        self,
        caller: Caller,
        method: &Method,
        object: fn(&[u8]) -> Option<String>,
        request: Request<Body>,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, MAX_REQUEST + FRAME).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Status::out_of_range(format!(
                    "the request is larger than {MAX_REQUEST} bytes"
                ))
                .into_http();
            }
            Err(error) => return Status::cancelled(error.to_string()).into_http(),
        };
        // What is logged is what the service takes: nothing stands beside the one message.
        let Some(object) = only_message(&body).and_then(object) else {
            let message = "the request is not one uncompressed message of this method";
            return Status::invalid_argument(message).into_http();
        };
        let begun = self.audit.begin(caller.subject, method.name, &object);
        let begun = match begun.await {
            Ok(begun) => begun,
            Err(error) => return of_audit(&error).into_http(),
        };
        let mut request = Request::from_parts(parts, Body::new(Full::new(body)));
        let note = Note::default();
        request.extensions_mut().insert(note.clone());
        let mut endpoints = self.endpoints;
        // In a task of its own: a caller that goes away does not leave the change half done, nor its outcome unknown.
        let work = tokio::spawn(async move {
            let response = endpoints.call(request).await;
            match failure(&response) {
                None => begun.end(Outcome::Done, &note.text()).await,
                Some(status) => begun.end(Outcome::Failed, status.message()).await,
            }
            response
        });
        work.await.unwrap_or_else(|_| {
            let message =
                "the server failed within this method: look at its log, and at what was changed";
            Status::internal(message).into_http()
        })
    }
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

/// Why the method failed; `None`: it did not. An answer that is a stream has succeeded when it begins.
fn failure(response: &Response<Body>) -> Option<Status> {
    Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok)
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
        Box::pin(async move { Ok(router.answer(request).await) })
    }
}

/// The services by name.
#[derive(Clone)]
struct Endpoints {
    system: SystemServer<SystemApi>,
    gateways: GatewaysServer<GatewaysApi>,
    keys: KeysServer<KeysApi>,
    tasks: TasksServer<TasksApi>,
    resources: ResourcesServer<ResourcesApi>,
    users: UsersServer<UsersApi>,
    policy: PolicyServer<PolicyApi>,
    calls: CallsServer<CallsApi>,
    audit: AuditServer<AuditApi>,
}

impl Endpoints {
    fn new(services: &Services) -> Self {
        macro_rules! bounded {
            ($server:ident, $api:ident) => {
                $server::new($api(services.clone())).max_decoding_message_size(MAX_REQUEST)
            };
        }
        Self {
            system: bounded!(SystemServer, SystemApi),
            gateways: bounded!(GatewaysServer, GatewaysApi),
            keys: bounded!(KeysServer, KeysApi),
            tasks: bounded!(TasksServer, TasksApi),
            resources: bounded!(ResourcesServer, ResourcesApi),
            users: bounded!(UsersServer, UsersApi),
            policy: bounded!(PolicyServer, PolicyApi),
            calls: bounded!(CallsServer, CallsApi),
            audit: bounded!(AuditServer, AuditApi),
        }
    }

    async fn call(&mut self, request: Request<Body>) -> Response<Body> {
        let service = request
            .uri()
            .path()
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .map(|(service, _)| service.to_owned());
        let Ok(response) = match service.as_deref() {
            Some(SystemServer::<SystemApi>::NAME) => self.system.call(request).await,
            Some(GatewaysServer::<GatewaysApi>::NAME) => self.gateways.call(request).await,
            Some(KeysServer::<KeysApi>::NAME) => self.keys.call(request).await,
            Some(TasksServer::<TasksApi>::NAME) => self.tasks.call(request).await,
            Some(ResourcesServer::<ResourcesApi>::NAME) => self.resources.call(request).await,
            Some(UsersServer::<UsersApi>::NAME) => self.users.call(request).await,
            Some(PolicyServer::<PolicyApi>::NAME) => self.policy.call(request).await,
            Some(CallsServer::<CallsApi>::NAME) => self.calls.call(request).await,
            Some(AuditServer::<AuditApi>::NAME) => self.audit.call(request).await,
            _ => Ok(Status::unimplemented("there is no such service").into_http()),
        };
        response
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
