//! Spans of the workers, which reach no collector: this process takes and sends them.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::join;
use portcullis_proto::worker::v1::TakeSpans;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_watch::traces::{Handed, Tracer};
use tokio::time::{Instant, sleep};

use super::orders::Lost;
use super::{Workers, nonsense};
use crate::config::WorkerKind;

/// How long a worker may have no spans before it is asked anew.
const LASTING: Duration = Duration::from_mins(10);
/// How long a worker is not asked that did not answer.
const PAUSE: Duration = Duration::from_secs(1);

impl Workers {
    /// From now on calls that belong to a trace have spans.
    pub fn trace(&self, tracer: Tracer) {
        // The first one stays.
        let _ = self.shared.tracer.set(tracer);
    }

    /// What makes and sends spans; it is off by default.
    pub(in crate::worker) fn tracer(&self) -> Tracer {
        self.shared.tracer.get().cloned().unwrap_or_default()
    }

    /// Has the workers' spans sent, for ever, where spans are sent at all.
    pub async fn send_spans(&self) {
        let tracer = self.tracer();
        if tracer.counts().is_none() {
            return std::future::pending().await;
        }
        let [one, other] = WorkerKind::ALL.map(|kind| self.send_spans_of(kind, &tracer));
        join(one, other).await;
    }

    async fn send_spans_of(&self, kind: WorkerKind, tracer: &Tracer) -> Infallible {
        loop {
            let taken = match self.used().contains(&kind) {
                true => self.take_spans(kind).await,
                false => Err(Lost::Away("it has no connectors".to_owned())),
            };
            match taken {
                Ok(spans) => tracer.hand_on(spans).await,
                // It may be away, which is told of elsewhere, or have been asked just now.
                Err(lost) => {
                    tracing::trace!(worker = %kind, "it gives no spans: {}", lost.message());
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn take_spans(&self, kind: WorkerKind) -> Result<Handed, Lost> {
        let order = self.order(None, None, What::TakeSpans(TakeSpans {}));
        let mut stream = self.send(kind, order).await?;
        let deadline = Instant::now() + LASTING;
        match self.answer(kind, &mut stream, deadline).await? {
            Answered::Spans(spans) => Ok(Handed::new(spans.request, spans.count, spans.dropped)),
            _ => Err(Lost::Silent(nonsense(kind))),
        }
    }
}
