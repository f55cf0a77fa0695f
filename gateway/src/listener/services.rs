//! The services of one session, and who may reach them.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use portcullis_proto::control::MAX_CONTROL_MESSAGE;
use portcullis_proto::gateway::v1::control_server::{self, ControlServer};
use portcullis_proto::gateway::v1::provisioning_server::{self, ProvisioningServer};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};

use super::control::Control;
use super::links::Link;
use crate::worker;

/// One batch of frames, in bytes.
const MAX_BATCH: usize = 256 * 1024;

/// What is served in one session.
#[derive(Clone, Debug)]
pub(super) struct Services {
    control: ControlServer<Control>,
    provisioning: ProvisioningServer<worker::Service>,
    calls: worker::Service,
    link: Arc<Link>,
}

impl Services {
    /// For the session behind `link`.
    pub(super) fn new(control: Control, provisioning: worker::Service, link: Arc<Link>) -> Self {
        Self {
            control: ControlServer::new(control)
                .max_decoding_message_size(MAX_CONTROL_MESSAGE)
                .max_encoding_message_size(MAX_CONTROL_MESSAGE),
            calls: provisioning.clone(),
            provisioning: ProvisioningServer::new(provisioning)
                .max_decoding_message_size(MAX_BATCH)
                .max_encoding_message_size(MAX_BATCH),
            link,
        }
    }

    /// The calls of the session.
    pub(super) const fn calls(&self) -> &worker::Service {
        &self.calls
    }
}

impl Service<http::Request<Body>> for Services {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        match service {
            control_server::SERVICE_NAME => self.control.call(request),
            provisioning_server::SERVICE_NAME if self.link.takes_calls() => {
                self.provisioning.call(request)
            }
            provisioning_server::SERVICE_NAME => refuse(Status::failed_precondition(
                "this session carries no calls: it was opened under an enrolment key, its key was forgotten, or its server was not granted the link",
            )),
            _ => refuse(Status::unimplemented("this gateway has no such service")),
        }
    }
}

fn refuse(status: Status) -> BoxFuture<http::Response<Body>, Infallible> {
    Box::pin(ready(Ok(status.into_http())))
}
