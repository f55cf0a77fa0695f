//! The gRPC face of the [`Provisioner`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use portcullis_common::handshake::{CallSecrets, ExporterSecret, Way};
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::gateway::v1::provisioning_server::Provisioning;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, async_trait};

use super::secrets;
use super::{Provisioner, SearchEvent};

/// Serves `portcullis.gateway.v1.Provisioning`. Who may call it is the listener's decision.
#[derive(Clone, Debug)]
pub struct Service {
    provisioner: Provisioner,
    exporter: ExporterSecret,
}

impl Service {
    /// Has `provisioner` carry out the calls of the session whose secrets `exporter` opens.
    pub fn new(provisioner: Provisioner, exporter: ExporterSecret) -> Self {
        Self {
            provisioner,
            exporter,
        }
    }

    /// The call, its secrets opened.
    fn open(&self, request: Request<wire::Call>) -> Result<wire::Call, Status> {
        let mut call = request.into_inner();
        secrets::open_call(&self.exporter, &mut call).map_err(|_| {
            Status::invalid_argument(
                "a secret of the call was not sealed for this session: the server has to be of the same version",
            )
        })?;
        Ok(call)
    }
}

#[async_trait]
impl Provisioning for Service {
    async fn execute(
        &self,
        request: Request<wire::Call>,
    ) -> Result<Response<wire::Outcome>, Status> {
        let call = self.open(request)?;
        let call_id = call.call_id.clone();
        let mut answers = CallSecrets::new(&self.exporter, Way::Answer, &call_id);
        let mut outcome = self.provisioner.execute(call).await.into_wire(call_id);
        secrets::seal_answer(&mut answers, outcome.secrets_mut());
        Ok(Response::new(outcome))
    }

    type SearchStream = SearchStream;

    async fn search(
        &self,
        request: Request<wire::Call>,
    ) -> Result<Response<Self::SearchStream>, Status> {
        let call = self.open(request)?;
        let answers = CallSecrets::new(&self.exporter, Way::Answer, &call.call_id);
        let events = self.provisioner.search(call);
        Ok(Response::new(SearchStream { events, answers }))
    }
}

/// The objects of a search, then its end.
#[derive(Debug)]
pub struct SearchStream {
    events: mpsc::Receiver<SearchEvent>,
    answers: CallSecrets,
}

impl Stream for SearchStream {
    type Item = Result<wire::SearchItem, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(self.events.poll_recv(cx));
        Poll::Ready(event.map(|event| {
            let mut item = encode(event);
            secrets::seal_answer(&mut self.answers, item.secrets_mut());
            Ok(item)
        }))
    }
}

fn encode(event: SearchEvent) -> wire::SearchItem {
    use wire::search_item::Kind;
    wire::SearchItem {
        kind: Some(match event {
            SearchEvent::Found(object) => Kind::Object((*object).into()),
            SearchEvent::End(cookie, failure) => Kind::End(wire::SearchEnd {
                next_cookie: cookie.as_bytes().to_vec(),
                failure: failure.map(Into::into),
            }),
        }),
    }
}
