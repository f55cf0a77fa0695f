//! The gRPC face of the [`Provisioner`].

use std::pin::Pin;
use std::task::{Context, Poll};

use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::gateway::v1::provisioning_server::Provisioning;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, async_trait};

use super::{Provisioner, SearchEvent};

/// Serves `portcullis.gateway.v1.Provisioning`. Who may call it is the listener's decision.
#[derive(Clone, Debug)]
pub struct Service {
    provisioner: Provisioner,
}

impl Service {
    /// Has `provisioner` carry out the calls.
    pub fn new(provisioner: Provisioner) -> Self {
        Self { provisioner }
    }
}

#[async_trait]
impl Provisioning for Service {
    async fn execute(
        &self,
        request: Request<wire::Call>,
    ) -> Result<Response<wire::Outcome>, Status> {
        let call = request.into_inner();
        let call_id = call.call_id.clone();
        let outcome = self.provisioner.execute(call).await;
        Ok(Response::new(outcome.into_wire(call_id)))
    }

    type SearchStream = SearchStream;

    async fn search(
        &self,
        request: Request<wire::Call>,
    ) -> Result<Response<Self::SearchStream>, Status> {
        let events = self.provisioner.search(request.into_inner());
        Ok(Response::new(SearchStream { events }))
    }
}

/// The objects of a search, then its end.
#[derive(Debug)]
pub struct SearchStream {
    events: mpsc::Receiver<SearchEvent>,
}

impl Stream for SearchStream {
    type Item = Result<wire::SearchItem, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events
            .poll_recv(cx)
            .map(|event| event.map(|event| Ok(encode(event))))
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
