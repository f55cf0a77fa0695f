//! The API as its clients see it, over a real repository; gateways are not there.

mod audit;
mod key_status;
mod passwords;
mod tasks;

use std::pin::Pin;
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

use super::methods::{METHODS, Method, Plan};
use super::*;
use crate::audit::AuditLog;
use crate::clock;
use crate::config::{Capability, CapabilitySet, Config};
use crate::fleet::{Fleet, Settings};
use crate::provisioning::queue::CallQueue;
use crate::serve::{Unlocked, init};
use crate::tasks::{Tasks, Work};

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
            "data_dir = {0:?}\n\
             [admin]\nsocket_group = \"root\"\n\
             [capabilities]\n\
             security-administrator = [\"uid:{1}\"]\n\
             administrator = [\"gid:{2}\"]\n\
             operator = [\"uid:{3}\"]\n\
             auditor = [\"uid:{4}\"]\n",
            folder.path().join("data"),
            BASE,
            BASE + 1,
            BASE + 2,
            BASE + 3
        );
        let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
        init::init(&config).await.unwrap();
        let Unlocked {
            server_id,
            repository,
            keys,
        } = Unlocked::open(&config).await.unwrap();
        let audit = AuditLog::open(&repository, server_id, &config.audit);
        let audit = audit.await.unwrap();
        let fleet = Fleet::new(repository.clone(), Settings::new(server_id, &config));
        let services = Services {
            secret: config.secret.clone(),
            audit: audit.clone(),
            capabilities: config.capabilities.clone(),
            server_id,
            started: clock::now(),
            tasks: Tasks::new(Work {
                repository: repository.clone(),
                keys: keys.clone(),
                fleet: fleet.clone(),
                audit,
                secret: config.secret.clone(),
            }),
            fleet,
            repository,
            keys,
            queue: CallQueue::new(config.calls.limits()),
            policy: config.keys.policy(),
            token_lifetime: config.keys.token_lifetime,
            pairing_lifetime: config.keys.pairing_lifetime,
        };
        let own = rustix::process::geteuid().as_raw();
        let channel = connect(&services, own).await;
        Self {
            folder,
            services,
            channel,
        }
    }

    fn gateways(&self) -> GatewaysClient<Channel> {
        GatewaysClient::new(self.channel.clone())
    }

    fn resources(&self) -> ResourcesClient<Channel> {
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
    let mut once = Some(hyper_util::rt::TokioIo::new(near));
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

/// Every method that `admin.proto` declares.
fn methods() -> Vec<String> {
    let mut service = "";
    let mut methods = Vec::new();
    for line in include_str!("../../../proto/admin.proto").lines() {
        let mut words = line.split([' ', '(']).filter(|word| !word.is_empty());
        match (words.next(), words.next()) {
            (Some("service"), Some(name)) => service = name,
            (Some("rpc"), Some(name)) => {
                methods.push(format!("/portcullis.admin.v1.{service}/{name}"));
            }
            _ => {}
        }
    }
    methods
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

#[test]
fn every_method_of_the_api_stands_in_the_table_once() {
    let mut declared = methods();
    let mut known: Vec<_> = METHODS.iter().map(path).collect();
    declared.sort();
    known.sort();
    assert_eq!(declared, known);
    assert!(METHODS.iter().all(|method| method.who.iter().count() > 0));
}

#[test]
fn what_is_not_audited_only_reads() {
    const READS: [&str; 9] = [
        "ListQueued",
        "ShowQueued",
        "Status",
        "List",
        "Show",
        "Ping",
        "Verify",
        "VerifyExport",
        "Watch",
    ];
    for method in METHODS {
        let (_, verb) = method.name.split_once('/').unwrap();
        // That one starts a task.
        if method.name == "Keys/Verify" {
            assert!(matches!(method.plan, Plan::Change(_)));
            continue;
        }
        let reads = matches!(method.plan, Plan::Read);
        assert_eq!(reads, READS.contains(&verb), "{}", method.name);
    }
}

#[tokio::test]
async fn each_method_is_open_to_its_capabilities_and_to_nobody_else() {
    let api = Api::start().await;
    for (id, capability) in (BASE..).zip(Capability::ALL) {
        let channel = connect(&api.services, id).await;
        for method in METHODS {
            let may = method.who.meets(CapabilitySet::of(&[capability]));
            let status = answer(&channel, &path(method)).await;
            let code = status.as_ref().map_or(Code::Ok, Status::code);
            assert_ne!(code, Code::Unimplemented, "{}", method.name);
            assert_eq!(
                code != Code::PermissionDenied,
                may,
                "{} for {capability}",
                method.name
            );
            if let (false, Some(status)) = (may, status) {
                let message = status.message();
                let missing = method.who.to_string();
                assert!(message.contains(&format!("uid {id}")), "{message}");
                assert!(message.contains(&missing), "{message}");
                assert!(message.contains(capability.name()), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn no_method_is_open_to_a_stranger() {
    let api = Api::start().await;
    for stranger in [None, Some(STRANGER)] {
        let channel = connect(&api.services, stranger).await;
        for method in methods() {
            let code = code(&channel, &method).await;
            assert_eq!(code, Code::PermissionDenied, "{method}");
        }
    }
    for method in methods() {
        let code = code(&api.channel, &method).await;
        assert!(
            !matches!(code, Code::PermissionDenied | Code::Unimplemented),
            "{method} gives its owner {code:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_in_the_table_is_refused_to_everybody() {
    let api = Api::start().await;
    for unknown in [
        "/portcullis.admin.v1.Secrets/Show",
        "/portcullis.admin.v1.Keys/Show",
        "/portcullis.admin.v1.Keys/List/",
        "/portcullis.admin.v2.Keys/List",
        "/",
    ] {
        let code = code(&api.channel, unknown).await;
        assert_eq!(code, Code::PermissionDenied, "{unknown}");
    }
}

#[tokio::test]
async fn status_tells_callers_what_they_may_do() {
    let api = Api::start().await;
    let channel = connect(&api.services, BASE + 2).await;
    let status = SystemClient::new(channel)
        .status(proto::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(status.caller, format!("uid {}", BASE + 2));
    assert_eq!(status.capabilities, ["operator"]);
}

#[tokio::test]
async fn root_may_administer_whoever_runs_the_server() {
    let api = Api::start().await;
    let channel = connect(&api.services, 0).await;
    let status = SystemClient::new(channel)
        .status(proto::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(status.server_id, api.services.server_id.to_string());
    assert!(status.current_gateway_key_id.starts_with("3des-"));
}

#[tokio::test]
async fn a_gateway_is_added_once_and_its_token_is_for_it_alone() {
    let api = Api::start().await;
    let added = api.add_gateway("web1").await;
    let (gateway, token) = (added.gateway.unwrap(), added.token.unwrap());
    assert_eq!(gateway.state(), proto::GatewayState::Registered);
    let read: portcullis_common::rotation::EnrolmentToken = token.token.parse().unwrap();
    assert_eq!(read.gateway_id().to_string(), gateway.gateway_id);
    assert_eq!(gateway.token_expires_unix_ms, token.expires_unix_ms);

    let again = api.gateways().add(dial_out("web1")).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    assert!(again.message().contains("web1"), "{again}");
    // The failed attempt left the first registration as it was.
    let shown = show(&api, "web1").await.unwrap();
    assert_eq!(shown.gateway_id, gateway.gateway_id);
    for bad in ["", "-web", "web/1", &"w".repeat(65)] {
        let error = api.gateways().add(dial_out(bad)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{bad}");
    }
}

async fn show(api: &Api, name: &str) -> Result<proto::Gateway, Status> {
    let name = name.to_owned();
    let answer = api
        .gateways()
        .show(proto::ShowGatewayRequest { name })
        .await;
    answer.map(tonic::Response::into_inner)
}

async fn token(api: &Api, name: &str) -> Result<proto::NewTokenResponse, Status> {
    let request = proto::NewTokenRequest {
        name: name.to_owned(),
        allow_pairing: false,
    };
    let answer = api.gateways().new_token(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn each_new_token_is_a_new_registration() {
    let api = Api::start().await;
    let first = api.add_gateway("web1").await.gateway.unwrap();
    let second = token(&api, "web1").await.unwrap().gateway.unwrap();
    assert_ne!(first.gateway_id, second.gateway_id);
    let error = token(&api, "web2").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn evicted_may_enrol_again_and_revoked_may_not_until_restored() {
    let api = Api::start().await;
    let first = api.add_gateway("web1").await.gateway.unwrap();
    let name = || "web1".to_owned();
    let restore = || proto::RestoreGatewayRequest { name: name() };

    let evicted = api
        .gateways()
        .evict(proto::EvictGatewayRequest { name: name() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(evicted.state(), proto::GatewayState::Evicted);
    assert_eq!(evicted.token_expires_unix_ms, 0);
    assert!(token(&api, "web1").await.is_ok());
    let error = api.gateways().restore(restore()).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);

    let revoked = api
        .gateways()
        .revoke(proto::RevokeGatewayRequest { name: name() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(revoked.state(), proto::GatewayState::Revoked);
    let error = token(&api, "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("gateway restore web1"), "{error}");
    // An eviction would let it enrol again by the back door.
    let error = api
        .gateways()
        .evict(proto::EvictGatewayRequest { name: name() })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(
        show(&api, "web1").await.unwrap().state(),
        proto::GatewayState::Revoked
    );

    let restored = api
        .gateways()
        .restore(restore())
        .await
        .unwrap()
        .into_inner();
    let restored = restored.gateway.unwrap();
    assert_eq!(restored.state(), proto::GatewayState::Registered);
    assert_ne!(restored.gateway_id, first.gateway_id);
}

#[tokio::test]
async fn a_gateway_that_holds_a_good_key_gets_no_token() {
    let api = Api::start().await;
    let enrolled = api.add_gateway("web1").await.gateway.unwrap();
    let gateways = api.services.repository.gateways();
    gateways
        .update("web1", |registration, keys| {
            registration.last_proved = keys.first().map(|key| key.id);
            registration.token = None;
        })
        .await
        .unwrap();
    let error = token(&api, "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("gateway evict web1"), "{error}");
    let shown = show(&api, "web1").await.unwrap();
    assert_eq!(shown.gateway_id, enrolled.gateway_id);
    assert_eq!(shown.state(), proto::GatewayState::Enrolled);
    assert!(shown.synchronized);

    // Once that key is compromised, a token is what it needs.
    let rotated = KeysClient::new(api.channel.clone())
        .rotate_gateway(proto::RotateGatewayRequest {
            compromised: true,
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rotated.results[0].state(), proto::SyncState::MustEnrol);
    assert!(token(&api, "web1").await.is_ok());
}

#[tokio::test]
async fn a_rotation_against_another_key_changes_nothing() {
    let api = Api::start().await;
    let mut keys = KeysClient::new(api.channel.clone());
    let before = keys
        .list(proto::ListKeysRequest {})
        .await
        .unwrap()
        .into_inner();
    for (expected, code) in [
        ("3des-00000000000000000000000000000001", Code::Aborted),
        ("nonsense", Code::InvalidArgument),
    ] {
        let error = keys
            .rotate_gateway(proto::RotateGatewayRequest {
                expected_current: expected.to_owned(),
                ..Default::default()
            })
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    let after = keys
        .list(proto::ListKeysRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_resource_needs_a_gateway_that_is_there() {
    let api = Api::start().await;
    let error = api.add_resource("ldap", "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("no gateway `web1`"), "{error}");
    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    let error = api.add_resource("ldap", "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);

    let set = |settings: &[(&str, &str)], gateway: Option<&str>| proto::SetResourceRequest {
        name: "ldap".to_owned(),
        gateway: gateway.map(str::to_owned),
        settings: settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..Default::default()
    };
    let mut resources = api.resources();
    resources
        .set(set(&[("a", "1"), ("b", "2")], None))
        .await
        .unwrap();
    let error = resources
        .set(set(&[("a", "")], Some("web2")))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let changed = resources
        .set(set(&[("a", "")], None))
        .await
        .unwrap()
        .into_inner();
    // The refused change took nothing away; the accepted one did.
    assert_eq!(changed.settings.len(), 1);
    assert_eq!(changed.gateway, "web1");
}

fn failure(outcome: Outcome) -> Failure {
    match outcome.result {
        Some(OutcomeResult::Failed(failure)) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test]
async fn what_concerns_a_call_is_an_outcome_and_an_unknown_resource_a_status() {
    let api = Api::start().await;
    let call = |call_id: &str, verb: Option<Verb>| Call {
        call_id: call_id.to_owned(),
        verb,
        ..Call::default()
    };
    let delete = || Some(Verb::Delete(Delete::default()));
    let error = api.execute("ldap", call("", delete())).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);

    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    let outcome = api.execute("ldap", call("", delete())).await.unwrap();
    assert!(!outcome.call_id.is_empty());
    // Nothing was sent, so that it is failed and not indeterminate.
    assert_eq!(failure(outcome).kind(), FailureKind::Unavailable);
    let outcome = api
        .execute("ldap", call("my:id-1", delete()))
        .await
        .unwrap();
    assert_eq!(outcome.call_id, "my:id-1");

    for (id, verb) in [
        ("a b", delete()),
        ("a\u{e9}", delete()),
        (&"i".repeat(129), delete()),
        ("a", None),
        ("a", Some(Verb::Search(Search::default()))),
    ] {
        let outcome = api.execute("ldap", call(id, verb)).await.unwrap();
        assert_eq!(failure(outcome).kind(), FailureKind::Invalid, "{id}");
    }

    for (verb, kind) in [
        (Verb::Search(Search::default()), FailureKind::Unavailable),
        (Verb::Test(Test {}), FailureKind::Invalid),
    ] {
        let mut found = CallsClient::new(api.channel.clone())
            .search(proto::ExecuteRequest {
                resource: "ldap".to_owned(),
                call: Some(call("", Some(verb))),
                ..Default::default()
            })
            .await
            .unwrap()
            .into_inner();
        let Some(Kind::End(end)) = found.message().await.unwrap().unwrap().kind else {
            panic!("not the end");
        };
        assert_eq!(end.failure.unwrap().kind(), kind);
        assert!(found.message().await.unwrap().is_none());
    }
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
