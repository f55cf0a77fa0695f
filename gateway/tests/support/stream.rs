//! The stream of calls of one session, served in this process.

use bytes::Bytes;
use portcullis_common::calls::Answer;
use portcullis_common::handshake::{Preamble, ResponderConfig};
use portcullis_common::rotation::Identity;
use portcullis_common::stream::{self, ChannelLimits};
use portcullis_gateway::worker::{Provisioner, Service, SessionCalls};
use portcullis_proto::gateway::v1::Call;
use portcullis_proto::gateway::v1::provisioning_server::ProvisioningServer;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt as _;

use super::PATIENCE;
use super::server::{Calls, Link, Server, token};

/// Many calls at once, as the server has them.
pub(crate) struct Stream {
    pub(crate) link: Link,
    calls: Calls,
}

impl Stream {
    /// Over a session of its own, to a gateway of these connectors.
    pub(crate) async fn open(provisioner: Provisioner) -> Self {
        let server = Server::of(&token());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let io = TcpStream::connect(address).await.unwrap();
        tokio::spawn(serve(io, server.clone(), provisioner));
        let (_, link) = server.await_gateway(&listener).await;
        let link = link.unwrap();
        let calls = Calls::open(&link.channel).await.unwrap();
        Self { link, calls }
    }

    /// Sends a call: its number.
    pub(crate) async fn send(&mut self, call: &Call) -> u64 {
        self.calls.send(call).await.unwrap()
    }

    /// The next answer to a call.
    pub(crate) async fn next(&mut self, number: u64) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, self.calls.next(number));
        answer.await.unwrap().unwrap()
    }

    /// The last answer to a call, without the items before it.
    pub(crate) async fn end(&mut self, number: u64) -> Bytes {
        loop {
            match self.next(number).await {
                Answer::Item(_) => {}
                Answer::End(end) => return end,
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn serve(io: TcpStream, server: Server, provisioner: Provisioner) {
    let config = ResponderConfig {
        suites: server.suites,
        identity: Identity::Keyed {
            gateway_id: server.gateway_id,
            keys: server.keys,
        },
    };
    let preamble = Preamble::Id(server.gateway_id);
    let limits = ChannelLimits::default();
    let taken = |_| async { Ok(()) };
    let sealed = stream::accept(io, Some(&preamble), config, &limits, taken).await;
    let sealed = sealed.unwrap();
    let session = sealed.session();
    let server_id = session.info().server_id;
    let calls = SessionCalls::new(provisioner.into(), server_id);
    let service = Service::new(calls, session.exporter().clone(), || true);
    let incoming =
        tokio_stream::once(Ok::<_, std::io::Error>(sealed)).chain(tokio_stream::pending());
    tonic::transport::Server::builder()
        .add_service(ProvisioningServer::new(service))
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}
