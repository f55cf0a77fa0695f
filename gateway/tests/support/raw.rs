//! A stream of calls whose bytes the test decides.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame as HttpFrame;
use portcullis_proto::gateway::v1::provisioning_client::ProvisioningClient;
use portcullis_proto::gateway::v1::{CallFrame, CallFrames};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::{Status, Streaming};
use tower::ServiceExt as _;

use super::PATIENCE;
use super::server::Link;

pub(crate) struct RawCalls {
    bytes: mpsc::UnboundedSender<Bytes>,
    answers: Streaming<CallFrames>,
}

impl RawCalls {
    pub(crate) async fn open(link: &Link) -> Self {
        let (bytes, sent) = mpsc::unbounded_channel::<Bytes>();
        let sent = UnboundedReceiverStream::new(sent);
        let frames = sent.map(|bytes| Ok::<_, Infallible>(HttpFrame::data(bytes)));
        let mut body = Some(Body::new(StreamBody::new(frames).boxed_unsync()));
        let channel = link.channel.clone();
        let own_body = tower::service_fn(move |request: hyper::Request<Body>| {
            let body = body.take().unwrap_or_default();
            channel.clone().oneshot(request.map(|_| body))
        });
        let mut client = ProvisioningClient::new(own_body);
        let answers = client.calls(tokio_stream::pending()).await.unwrap();
        Self {
            bytes,
            answers: answers.into_inner(),
        }
    }

    pub(crate) fn send(&self, bytes: Vec<u8>) {
        self.bytes.send(bytes.into()).unwrap();
    }

    /// What came back, and how the stream ended.
    pub(crate) async fn until_ended(&mut self) -> (Vec<CallFrame>, Result<(), Status>) {
        let mut frames = Vec::new();
        loop {
            let next = tokio::time::timeout(PATIENCE, self.answers.message());
            match next.await.unwrap() {
                Ok(Some(batch)) => frames.extend(batch.frames),
                Ok(None) => return (frames, Ok(())),
                Err(status) => return (frames, Err(status)),
            }
        }
    }
}
