//! gRPC inside a sealed stream. The HTTP/2 client is always the server's side, whoever dialled.
#![cfg(feature = "tonic")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use portcullis_common::crypto::suites::Suite;
use portcullis_common::stream::{
    SealedConnectInfo, SealedStream, Session, accept, connect, read_preamble,
};
use portcullis_proto::gateway::v1::control_client::ControlClient;
use portcullis_proto::gateway::v1::control_server::{Control, ControlServer};
use portcullis_proto::gateway::v1::{
    AcknowledgeRequest, AcknowledgeResponse, DescribeRequest, DescribeResponse, EnrolRequest,
    EnrolResponse, FinishedRequest, FinishedResponse, GrantRequest, GrantResponse, InstallRequest,
    InstallResponse, LogMoreRequest, LogMoreResponse, LogRequest, LogResponse, PingRequest,
    PingResponse, RedialRequest, RedialResponse,
};
use support::{Pair, take};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};

/// Answers a ping with its payload and the id of the session that it came through; never answers a
/// describe.
struct Gateway;

#[tonic::async_trait]
impl Control for Gateway {
    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        let info = request
            .extensions()
            .get::<SealedConnectInfo>()
            .ok_or_else(|| Status::internal("no session"))?;
        let mut payload = request.get_ref().payload.clone();
        payload.extend_from_slice(&info.session.info().session_id);
        Ok(Response::new(PingResponse {
            payload,
            clock_ms: 0,
        }))
    }

    async fn grant(&self, _: Request<GrantRequest>) -> Result<Response<GrantResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn describe(
        &self,
        _: Request<DescribeRequest>,
    ) -> Result<Response<DescribeResponse>, Status> {
        std::future::pending().await
    }

    async fn enrol(&self, _: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        Err(Status::permission_denied("not here"))
    }

    async fn install(
        &self,
        _: Request<InstallRequest>,
    ) -> Result<Response<InstallResponse>, Status> {
        Err(Status::permission_denied("not here"))
    }

    async fn finished(
        &self,
        _: Request<FinishedRequest>,
    ) -> Result<Response<FinishedResponse>, Status> {
        Err(Status::permission_denied("not here"))
    }

    async fn acknowledge(
        &self,
        _: Request<AcknowledgeRequest>,
    ) -> Result<Response<AcknowledgeResponse>, Status> {
        Err(Status::permission_denied("not here"))
    }

    async fn redial(&self, _: Request<RedialRequest>) -> Result<Response<RedialResponse>, Status> {
        Err(Status::permission_denied("not here"))
    }

    async fn log(&self, _: Request<LogRequest>) -> Result<Response<LogResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn log_more(
        &self,
        _: Request<LogMoreRequest>,
    ) -> Result<Response<LogMoreResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// Serves one stream. What ends it is the stream's end: `incoming` never ends by itself.
fn serve(stream: SealedStream<TcpStream>) {
    let incoming = tokio_stream::once(io::Result::Ok(stream)).chain(tokio_stream::pending());
    tokio::spawn(
        Server::builder()
            .add_service(ControlServer::new(Gateway))
            .serve_with_incoming(incoming),
    );
}

async fn client(stream: SealedStream<TcpStream>) -> (ControlClient<Channel>, Arc<Session>) {
    let session = Arc::clone(stream.session());
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().map(TokioIo::new);
        async move { stream.ok_or_else(|| io::Error::other("the link is lost")) }
    });
    let channel = Endpoint::from_static("http://gateway")
        .connect_with_connector(connector)
        .await
        .unwrap();
    (ControlClient::new(channel), session)
}

async fn ping_of_every_size(client: &mut ControlClient<Channel>, session: &Session) {
    for size in [0, 1, 255, 1_024, 16_384, 100_000, 1_000_000] {
        let payload = vec![size as u8; size];
        let answer = client
            .ping(PingRequest {
                payload: payload.clone(),
            })
            .await
            .unwrap();
        let (echo, session_id) = answer.get_ref().payload.split_at(size);
        assert!(echo == payload);
        assert_eq!(session_id, session.info().session_id);
    }
}

#[tokio::test]
async fn the_server_dials_and_calls() {
    for suite in Suite::ALL {
        let pair = Pair::new(suite);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (dialled, accepted) = tokio::join!(dialled, listener.accept());
        let (server, gateway) = pair.join(dialled.unwrap(), accepted.unwrap().0).await;
        serve(gateway);
        let (mut client, session) = client(server).await;
        ping_of_every_size(&mut client, &session).await;
    }
}

#[tokio::test]
async fn the_gateway_dials_and_serves() {
    for suite in Suite::ALL {
        let pair = Pair::new(suite);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (dialled, accepted) = tokio::join!(dialled, listener.accept());
        let (mut at_server, _) = accepted.unwrap();
        let preamble = pair.preamble();
        let server = async {
            let named = read_preamble(&mut at_server, &pair.limits).await.unwrap();
            connect(at_server, Some(&named), pair.initiator(), &pair.limits).await
        };
        let dialled = dialled.unwrap();
        let gateway = accept(
            dialled,
            Some(&preamble),
            pair.responder(),
            &pair.limits,
            take,
        );
        let (server, gateway) = tokio::join!(server, gateway);
        serve(gateway.unwrap());
        let (mut client, session) = client(server.unwrap()).await;
        ping_of_every_size(&mut client, &session).await;
    }
}

#[tokio::test]
async fn many_calls_share_one_stream() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap());
    let (dialled, accepted) = tokio::join!(dialled, listener.accept());
    let (server, gateway) = pair.join(dialled.unwrap(), accepted.unwrap().0).await;
    serve(gateway);
    let (client, _) = client(server).await;
    let calls: Vec<_> = (0..200_u32)
        .map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let payload = number.to_be_bytes().repeat(number as usize * 5);
                let request = PingRequest {
                    payload: payload.clone(),
                };
                let answer = client.ping(request).await.unwrap().into_inner();
                assert!(answer.payload.starts_with(&payload));
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

/// Revocation: a call in flight ends at once, and no other gets through.
#[tokio::test]
async fn closing_the_session_fails_the_call_in_flight() {
    let pair = Pair::new(Suite::TdesCtrHmacSha256);
    for by_server in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (dialled, accepted) = tokio::join!(dialled, listener.accept());
        let (server, gateway) = pair.join(dialled.unwrap(), accepted.unwrap().0).await;
        let at_gateway = Arc::clone(gateway.session());
        serve(gateway);
        let (mut client, at_server) = client(server).await;
        client.ping(PingRequest::default()).await.unwrap();
        let hanging = tokio::spawn({
            let mut client = client.clone();
            async move { client.describe(DescribeRequest::default()).await }
        });
        tokio::task::yield_now().await;
        if by_server { &at_server } else { &at_gateway }.close();
        let status = hanging.await.unwrap().unwrap_err();
        assert_ne!(status.code(), Code::Ok);
        assert!(client.ping(PingRequest::default()).await.is_err());
        // Both sides are through with it.
        at_server.closed().await;
        at_gateway.closed().await;
    }
}
