//! The stream of calls of one session, served in this process.

use bytes::Bytes;
use portcullis_common::calls::{Answer, Calling, Frame};
use portcullis_common::handshake::{Preamble, ResponderConfig};
use portcullis_common::rotation::Identity;
use portcullis_common::stream::{self, ChannelLimits};
use portcullis_gateway::worker::{Provisioner, Service};
use portcullis_proto::gateway::v1::provisioning_client::ProvisioningClient;
use portcullis_proto::gateway::v1::provisioning_server::ProvisioningServer;
use portcullis_proto::gateway::v1::{Call, CallFrame, CallFrames};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::PATIENCE;
use super::server::{Link, Server, token};

/// Many calls at once, as the server has them.
pub(crate) struct Stream {
    pub(crate) link: Link,
    calling: Calling<()>,
    frames: mpsc::Sender<CallFrames>,
    answers: Streaming<CallFrames>,
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
        let (frames, body) = mpsc::channel(16);
        let mut client = ProvisioningClient::new(link.channel.clone());
        let answers = client.calls(ReceiverStream::new(body)).await.unwrap();
        Self {
            link,
            calling: Calling::default(),
            frames,
            answers: answers.into_inner(),
        }
    }

    /// Sends a call: its number.
    pub(crate) async fn send(&mut self, call: &Call) -> u64 {
        let call = call.encode_to_vec().into();
        let number = self.calling.submit(call, u64::MAX).unwrap();
        self.flush().await;
        number
    }

    /// The next answer to a call.
    pub(crate) async fn next(&mut self, number: u64) -> Answer {
        loop {
            if let Some(answer) = self.calling.next(number, |()| ()) {
                return answer;
            }
            self.flush().await;
            let message = tokio::time::timeout(PATIENCE, self.answers.message());
            let frames = message.await.unwrap().unwrap();
            for frame in frames.unwrap().frames {
                let frame = Frame::try_from(frame).unwrap();
                self.calling.handle(frame, &mut Vec::new()).unwrap();
            }
        }
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

    async fn flush(&mut self) {
        let mut frames = Vec::new();
        self.calling
            .take(u64::MAX, |frame| frames.push(CallFrame::from(frame)));
        if !frames.is_empty() {
            self.frames.send(CallFrames { frames }).await.unwrap();
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
    let service = Service::new(provisioner, sealed.session().exporter().clone());
    let incoming =
        tokio_stream::once(Ok::<_, std::io::Error>(sealed)).chain(tokio_stream::pending());
    tonic::transport::Server::builder()
        .add_service(ProvisioningServer::new(service))
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}
