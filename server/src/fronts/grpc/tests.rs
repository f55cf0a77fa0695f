//! The API as its clients see it, over a real repository; gateways are not there.

mod access;
mod audit;
mod calls;
mod cost;
mod framing;
mod gateways;
mod key_status;
mod log_in;
mod passwords;
mod standard;
mod tasks;

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::calls_client::CallsClient;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;
use portcullis_proto::admin::v1::system_client::SystemClient;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{Call, Delete, Failure, FailureKind, Outcome, Search, Test};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::methods::Methods;
use super::*;
use crate::admin::{Method, Plan};
use crate::config::{Capability, CapabilitySet};

/// Every method that the front serves.
static METHODS: LazyLock<Vec<Method>> = LazyLock::new(|| {
    let methods = Methods::new();
    methods.all().collect()
});

/// A server's API in this process, with a connection of this user's.
struct Api {
    folder: tempfile::TempDir,
    services: Services,
    channel: Channel,
}

impl Api {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[admin]\nsocket_group = \"root\"\n\
             [capabilities]\n\
             security-administrator = [\"uid:{0}\"]\n\
             administrator = [\"gid:{1}\"]\n\
             operator = [\"uid:{2}\"]\n\
             auditor = [\"uid:{3}\"]\n",
            BASE,
            BASE + 1,
            BASE + 2,
            BASE + 3
        );
        let services = crate::admin::tests::services(folder.path(), &text).await;
        let own = rustix::process::geteuid().as_raw();
        let channel = connect(&services, own).await;
        Self {
            folder,
            services,
            channel,
        }
    }

    fn gateways(&self) -> GatewaysClient {
        GatewaysClient::new(self.channel.clone())
    }

    fn resources(&self) -> ResourcesClient {
        ResourcesClient::new(self.channel.clone())
    }

    async fn add_gateway(&self, name: &str) -> proto::AddGatewayResponse {
        self.gateways()
            .add(dial_out(name))
            .await
            .unwrap()
            .into_inner()
    }

    async fn add_resource(&self, name: &str, gateway: &str) -> Result<proto::Resource, Status> {
        self.resources()
            .add(proto::AddResourceRequest {
                name: name.to_owned(),
                gateway: gateway.to_owned(),
                connector: "unix".to_owned(),
                ..Default::default()
            })
            .await
            .map(tonic::Response::into_inner)
    }

    async fn execute(&self, resource: &str, call: Call) -> Result<Outcome, Status> {
        CallsClient::new(self.channel.clone())
            .execute(proto::ExecuteRequest {
                resource: resource.to_owned(),
                call: Some(call),
                ..Default::default()
            })
            .await
            .map(tonic::Response::into_inner)
    }
}

fn dial_out(name: &str) -> proto::AddGatewayRequest {
    proto::AddGatewayRequest {
        name: name.to_owned(),
        dial_out: true,
        ..Default::default()
    }
}

/// The ids of those who hold one capability each, in their order; no user of this host has them.
const BASE: u32 = 3_000_000_000;
/// Nobody's.
const STRANGER: u32 = BASE + 9;

/// A connection whose peer has this user id, and the same group id.
async fn connect(services: &Services, id: impl Into<Option<u32>>) -> Channel {
    let (near, far) = tokio::io::duplex(1 << 16);
    let id = id.into();
    let peer = Peer { uid: id, gid: id };
    let connections =
        tokio_stream::once(Ok(Vouched { io: far, peer })).chain(tokio_stream::pending());
    let services = services.clone();
    tokio::spawn(serve_on(connections, services, std::future::pending()));
    over(near).await
}

async fn over(stream: DuplexStream) -> Channel {
    let mut once = Some(hyper_util::rt::TokioIo::new(stream));
    Endpoint::from_static("http://test.invalid")
        .connect_with_connector(tower::service_fn(move |_| {
            let stream = once.take();
            async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        }))
        .await
        .unwrap()
}

/// A stream with a peer that the test chooses.
struct Vouched {
    io: DuplexStream,
    peer: Peer,
}

impl Connected for Vouched {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Vouched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Vouched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Calls a method with an empty request, and gives the error of its answer.
async fn answer(channel: &Channel, method: &str) -> Option<Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path: PathAndQuery = method.parse().unwrap();
    let answer = client.server_streaming(tonic::Request::new(()), path, codec);
    let mut answers = match answer.await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return Some(status),
    };
    // A message of another type may not decode as an empty one: that it came is enough.
    let _ = answers.message().await;
    None
}

async fn code(channel: &Channel, method: &str) -> Code {
    let status = answer(channel, method).await;
    status.map_or(Code::Ok, |status| status.code())
}

fn path(method: &Method) -> String {
    format!("/portcullis.admin.v1.{}", method.name)
}

async fn show(api: &Api, name: &str) -> Result<proto::Gateway, Status> {
    let name = name.to_owned();
    let answer = api
        .gateways()
        .show(proto::ShowGatewayRequest { name })
        .await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_oversized_request_is_refused() {
    let api = Api::start().await;
    let error = api
        .gateways()
        .add(proto::AddGatewayRequest {
            address: "a".repeat(2 << 20),
            ..dial_out("web1")
        })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange);
    assert!(show(&api, "web1").await.is_err());
}
