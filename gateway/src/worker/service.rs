//! The gRPC face of the [`Door`](super::Door): the one stream of calls of a session.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_common::handshake::ExporterSecret;
use portcullis_proto::gateway::v1::CallFrames;
use portcullis_proto::gateway::v1::provisioning_server::Provisioning;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::call_stream::{CallStream, Obeyed};
use super::door::SessionCalls;

/// Serves `portcullis.gateway.v1.Provisioning` in one session. Who may call it is the listener's
/// decision.
#[derive(Clone)]
pub struct Service {
    calls: SessionCalls,
    exporter: ExporterSecret,
    obeyed: Obeyed,
    session: Arc<State>,
}

#[derive(Debug)]
struct State {
    opened: AtomicBool,
    draining: watch::Sender<bool>,
    broken: watch::Sender<bool>,
}

impl Service {
    /// Serves the calls of a session, whose secrets `exporter` opens, for as long as its server is
    /// `obeyed`.
    pub fn new(
        calls: SessionCalls,
        exporter: ExporterSecret,
        obeyed: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            calls,
            exporter,
            obeyed: Arc::new(obeyed),
            session: Arc::new(State {
                opened: AtomicBool::new(false),
                draining: watch::Sender::new(false),
                broken: watch::Sender::new(false),
            }),
        }
    }

    /// Begins no calls any more; the stream ends with the last one under way.
    pub fn drain(&self) {
        self.session.draining.send_replace(true);
    }

    /// Ends when the server broke the rules of the stream of calls: the session has to end then.
    pub async fn broken(&self) {
        until(self.session.broken.subscribe()).await;
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Provisioning for Service {
    type CallsStream = CallStream;

    async fn calls(
        &self,
        request: Request<Streaming<CallFrames>>,
    ) -> Result<Response<CallStream>, Status> {
        if self.session.opened.swap(true, Ordering::Relaxed) {
            return Err(Status::failed_precondition(
                "a session has one stream of calls, and this one had its already",
            ));
        }
        let session = Arc::clone(&self.session);
        Ok(Response::new(CallStream::new(
            request.into_inner(),
            self.calls.clone(),
            self.exporter.clone(),
            Arc::clone(&self.obeyed),
            until(self.session.draining.subscribe()),
            move || {
                session.broken.send_replace(true);
            },
        )))
    }
}

async fn until(mut told: watch::Receiver<bool>) {
    if told.wait_for(|told| *told).await.is_err() {
        // The session is over, and its stream with it.
        std::future::pending::<()>().await;
    }
}
