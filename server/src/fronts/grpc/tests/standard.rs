//! Health checking and server reflection, to whoever the socket lets in.

use std::time::Duration;

use portcullis_proto::standard::health::health_check_response::ServingStatus;
use portcullis_proto::standard::health::{HealthCheckRequest, HealthCheckResponse};
use portcullis_proto::standard::reflection::server_reflection_request::MessageRequest;
use portcullis_proto::standard::reflection::server_reflection_response::MessageResponse;
use portcullis_proto::standard::reflection::{ServerReflectionRequest, ServerReflectionResponse};
use prost::Message;
use tokio::sync::oneshot;
use tonic::Streaming;

use super::*;
use crate::repository::tamper;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Calls a method with these messages.
async fn ask<Q, A>(
    channel: &Channel,
    method: &'static str,
    requests: Vec<Q>,
) -> Result<Streaming<A>, Status>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<Q, A>::default();
    let requests = tonic::Request::new(tokio_stream::iter(requests));
    let path = PathAndQuery::from_static(method);
    let answers = client.streaming(requests, path, codec).await?;
    Ok(answers.into_inner())
}

async fn health(
    channel: &Channel,
    method: &'static str,
    service: &str,
) -> Result<Streaming<HealthCheckResponse>, Status> {
    let service = service.to_owned();
    ask(channel, method, vec![HealthCheckRequest { service }]).await
}

async fn next(answers: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let answer = tokio::time::timeout(Duration::from_secs(20), answers.message()).await;
    answer.unwrap().unwrap().map(|answer| answer.status())
}

async fn check(channel: &Channel, service: &str) -> Result<Option<ServingStatus>, Code> {
    let answers = health(channel, CHECK, service).await;
    let mut answers = answers.map_err(|status| {
        // As every error of this server.
        assert!(
            status.metadata().contains_key("portcullis-kind"),
            "{status:?}"
        );
        status.code()
    })?;
    Ok(next(&mut answers).await)
}

#[tokio::test]
async fn health_is_told_to_strangers_and_follows_the_audit_log() {
    let api = Api::start().await;
    let channel = connect(&api.services, STRANGER).await;
    for service in ["", "portcullis.admin.v1.Calls", "grpc.health.v1.Health"] {
        let status = check(&channel, service).await;
        assert_eq!(status, Ok(Some(ServingStatus::Serving)), "{service}");
    }
    // What a gateway offers to the server is not offered here.
    for unknown in ["portcullis.gateway.v1.Provisioning", "x"] {
        assert_eq!(check(&channel, unknown).await, Err(Code::NotFound));
        let mut watched = health(&channel, WATCH, unknown).await.unwrap();
        let status = next(&mut watched).await;
        assert_eq!(status, Some(ServingStatus::ServiceUnknown), "{unknown}");
    }
    let mut watched = health(&channel, WATCH, "").await.unwrap();
    assert_eq!(next(&mut watched).await, Some(ServingStatus::Serving));
    let file = api.folder.path().join("data/portcullis.db");
    tamper(
        &file,
        "DROP TRIGGER audit_entries_never_go; DELETE FROM audit_entries",
    );
    // The next entry finds out.
    api.gateways().add(dial_out("web1")).await.unwrap_err();
    assert_eq!(next(&mut watched).await, Some(ServingStatus::NotServing));
    let status = check(&channel, "").await;
    assert_eq!(status, Ok(Some(ServingStatus::NotServing)));
}

#[tokio::test]
async fn one_user_watches_so_much_and_the_others_still_do() {
    let api = Api::start().await;
    let channel = connect(&api.services, STRANGER).await;
    let mut watched = Vec::new();
    let refused = loop {
        match health(&channel, WATCH, "").await {
            Ok(mut answers) => {
                next(&mut answers).await;
                watched.push(answers);
            }
            Err(status) => break status,
        }
        assert!(watched.len() <= 32, "no end");
    };
    assert_eq!(watched.len(), 32);
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(watched);
    let again = async {
        // The server hears a moment later that they ended.
        while check(&channel, "").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again)
        .await
        .unwrap();
}

async fn reflected(channel: &Channel, asked: Vec<MessageRequest>) -> Vec<MessageResponse> {
    let requests = asked.into_iter().map(|request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    });
    let method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let answers = ask(channel, method, requests.collect()).await.unwrap();
    let answers = answers.map(|answer: Result<ServerReflectionResponse, _>| {
        answer.unwrap().message_response.unwrap()
    });
    answers.collect().await
}

#[tokio::test]
async fn reflection_tells_every_method_and_where_each_symbol_stands() {
    use MessageRequest::*;
    let api = Api::start().await;
    let channel = connect(&api.services, STRANGER).await;
    let symbols = METHODS.iter().map(|method| {
        let symbol = path(method)[1..].replace('/', ".");
        FileContainingSymbol(symbol)
    });
    let files = reflected(&channel, symbols.collect()).await;
    assert_eq!(files.len(), METHODS.len());
    let [first, ..] = &*files else { panic!() };
    assert!(files.iter().all(|file| file == first), "of another file");

    let named = |name: &str| name.to_owned();
    let answers = reflected(
        &channel,
        vec![
            ListServices(named("")),
            FileByFilename(named("admin.proto")),
            // A message within one, a field, a value.
            FileContainingSymbol(named("portcullis.gateway.v1.Call.SettingsEntry")),
            FileContainingSymbol(named("portcullis.gateway.v1.Call.call_id")),
            FileByFilename(named("gateway.proto")),
            FileContainingSymbol(named("portcullis.admin.v1.Nothing")),
            FileByFilename(named("../etc/passwd")),
        ],
    )
    .await;
    let MessageResponse::ListServicesResponse(services) = &answers[0] else {
        panic!("{:?}", answers[0]);
    };
    let services: Vec<_> = services.service.iter().map(|one| &*one.name).collect();
    assert!(services.contains(&"portcullis.admin.v1.Calls"));
    assert!(services.contains(&"grpc.health.v1.Health"));
    assert!(!services.iter().any(|name| name.contains("gateway.v1")));
    assert_eq!(&answers[1], first);
    assert_eq!(answers[2], answers[4]);
    assert_eq!(answers[3], answers[4]);
    for nothing in &answers[5..] {
        let MessageResponse::ErrorResponse(error) = nothing else {
            panic!("{nothing:?}");
        };
        assert_eq!(error.error_code, i32::from(Code::NotFound));
    }
    let alpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    let request = ServerReflectionRequest::default();
    let answers = ask::<_, ServerReflectionResponse>(&channel, alpha, vec![request]).await;
    assert!(answers.unwrap().message().await.unwrap().is_some());
}

#[tokio::test]
async fn whoever_watches_keeps_no_server_from_stopping() {
    let api = Api::start().await;
    let (near, far) = tokio::io::duplex(1 << 16);
    let (stop, stopped) = oneshot::channel::<()>();
    let peer = Peer {
        uid: Some(STRANGER),
        gid: None,
    };
    let connections = tokio_stream::once(Ok(Vouched { io: far, peer }));
    let connections = connections.chain(tokio_stream::pending());
    let server = serve_on(connections, api.services.clone(), async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(server);
    let channel = over(near).await;
    let mut watched = health(&channel, WATCH, "").await.unwrap();
    assert_eq!(next(&mut watched).await, Some(ServingStatus::Serving));
    stop.send(()).unwrap();
    assert_eq!(next(&mut watched).await, None);
    drop(channel);
    let served = tokio::time::timeout(Duration::from_secs(20), server).await;
    served.unwrap().unwrap().unwrap();
}
