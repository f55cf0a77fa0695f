//! Takes spans to a collector: from a bounded queue, several at once, and never in anybody's way.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

use super::otlp::{
    ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans,
    Span, Status, StatusCode,
};
use super::span::{Ended, Key};
use crate::post;

/// Spans that wait; those that come then are dropped.
const QUEUE: usize = 4096;
/// Spans of one request.
const BATCH: usize = 512;
/// How long a span waits for others to go with it.
const GATHERING: Duration = Duration::from_millis(500);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the exporter rests after a request that came to nothing, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long a program that stops waits for the last spans to be taken.
const FLUSHING: Duration = Duration::from_secs(1);
const CONTENT_TYPE: &str = "application/x-protobuf";
const PORT: u16 = 80;

/// Who sends spans.
#[derive(Clone, Debug)]
pub struct Program {
    name: &'static str,
    version: &'static str,
    host: String,
}

impl Program {
    /// A program of this name and version on a host of that name.
    pub const fn new(name: &'static str, version: &'static str, host: String) -> Self {
        Self {
            name,
            version,
            host,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fate {
    result: &'static str,
}

/// What became of spans, counted.
#[derive(Clone, Debug, Default)]
pub struct SpanCounts(Family<Fate, Counter>);

impl SpanCounts {
    /// Has `registry` show `trace_spans`.
    pub fn register(&self, registry: &mut Registry) {
        for result in ["sent", "dropped", "refused"] {
            self.add(result, 0);
        }
        registry.register(
            "trace_spans",
            "Spans: `sent` to the collector, `dropped` because too many waited, `refused` by the collector",
            self.0.clone(),
        );
    }

    fn add(&self, result: &'static str, count: usize) {
        let counter = self.0.get_or_create(&Fate { result });
        counter.inc_by(count as u64);
    }
}

enum Item {
    Ended(Box<Ended>),
    /// Whatever came before it was sent, or will not be, when this is dropped.
    Flush(oneshot::Sender<()>),
}

/// Where spans are left. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Item>,
    counts: SpanCounts,
    one_in: u32,
}

impl Outbox {
    /// Begins to send. Ends with the last clone.
    pub(super) fn open(endpoint: Uri, one_in: u32, program: Program) -> Self {
        let (queue, items) = mpsc::channel(QUEUE);
        let counts = SpanCounts::default();
        let exporter = Exporter {
            endpoint,
            program,
            items,
            counts: counts.clone(),
            waiting: None,
            down: false,
        };
        tokio::spawn(exporter.run());
        Self(Arc::new(Shared {
            queue,
            counts,
            one_in: one_in.max(1),
        }))
    }

    pub(super) fn counts(&self) -> &SpanCounts {
        &self.0.counts
    }

    pub(super) fn one_in(&self) -> u32 {
        self.0.one_in
    }

    /// Leaves a span, and never waits.
    pub(super) fn send(&self, ended: Ended) {
        if self.0.queue.try_send(Item::Ended(Box::new(ended))).is_err() {
            self.0.counts.add("dropped", 1);
        }
    }

    pub(super) async fn flush(&self) {
        let (flushed, until) = oneshot::channel();
        let flushing = async {
            // Errors say that nothing is sent any more.
            if self.0.queue.send(Item::Flush(flushed)).await.is_ok() {
                let _ = until.await;
            }
        };
        // Who is not reached by then is not waited for.
        let _ = timeout(FLUSHING, flushing).await;
    }
}

struct Exporter {
    endpoint: Uri,
    program: Program,
    items: mpsc::Receiver<Item>,
    counts: SpanCounts,
    /// Who waits until what was gathered is sent.
    waiting: Option<oneshot::Sender<()>>,
    /// The last request came to nothing.
    down: bool,
}

impl Exporter {
    async fn run(mut self) {
        let mut gathered = Vec::with_capacity(BATCH);
        while self.gather(&mut gathered).await {
            self.take_there(&gathered).await;
            gathered.clear();
            self.waiting = None;
        }
    }

    /// The next spans. `false`: there are no more.
    async fn gather(&mut self, gathered: &mut Vec<Ended>) -> bool {
        let mut item = self.items.recv().await;
        if item.is_none() {
            return false;
        }
        let until = Instant::now() + GATHERING;
        while let Some(next) = item {
            match next {
                Item::Ended(ended) => gathered.push(*ended),
                Item::Flush(waiting) => {
                    self.waiting = Some(waiting);
                    break;
                }
            }
            if gathered.len() >= BATCH {
                break;
            }
            item = timeout_at(until, self.items.recv()).await.unwrap_or(None);
        }
        true
    }

    /// Sends them, again and again while nobody takes them: what comes meanwhile fills the queue.
    async fn take_there(&mut self, gathered: &[Ended]) {
        if gathered.is_empty() {
            return;
        }
        let count = gathered.len();
        let body = Bytes::from(self.encoded(gathered));
        let mut pause = PAUSES.0;
        loop {
            match self.post(body.clone()).await {
                Ok(status @ 200..300) => {
                    if std::mem::take(&mut self.down) {
                        info!(status, "the collector takes spans again");
                    }
                    return self.counts.add("sent", count);
                }
                // OTLP: these alone are to be tried again.
                Ok(status @ (429 | 502..=504)) => self.tell(&format!("it answers {status}")),
                Ok(status) => {
                    self.tell(&format!("it refuses them with {status}"));
                    return self.counts.add("refused", count);
                }
                Err(why) => self.tell(&why),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Once, and not again before it works.
    fn tell(&mut self, why: &str) {
        if !std::mem::replace(&mut self.down, true) {
            let endpoint = &self.endpoint;
            warn!(%endpoint, "the collector does not take spans, which are dropped in the end; calls go on: {why}");
        }
    }

    async fn post(&self, body: Bytes) -> Result<u16, String> {
        let request = post::request(&self.endpoint, CONTENT_TYPE, self.program.name)
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let posting = async {
            let stream = post::connect(&self.endpoint, PORT).await?;
            post::send(stream, request).await
        };
        match timeout(PATIENCE, posting).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    fn encoded(&self, gathered: &[Ended]) -> Vec<u8> {
        let Program {
            name,
            version,
            host,
        } = &self.program;
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![
                        KeyValue::text("service.name", *name),
                        KeyValue::text("service.version", *version),
                        KeyValue::text("host.name", host.as_str()),
                    ],
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: (*name).to_owned(),
                        version: (*version).to_owned(),
                    }),
                    spans: gathered.iter().map(span).collect(),
                }],
            }],
        };
        request.encode_to_vec()
    }
}

fn span(ended: &Ended) -> Span {
    let took = u64::try_from(ended.took.as_nanos()).unwrap_or(u64::MAX);
    let value = |(key, value): &(Key, Cow<'static, str>)| KeyValue::text(key.name(), &**value);
    Span {
        trace_id: ended.context.trace.to_vec(),
        span_id: ended.context.span.to_vec(),
        parent_span_id: ended.parent.map_or_else(Vec::new, |parent| parent.to_vec()),
        name: ended.name.to_owned(),
        kind: ended.kind.into(),
        start_time_unix_nano: ended.begun_unix_ns,
        end_time_unix_nano: ended.begun_unix_ns.saturating_add(took),
        attributes: ended.values.iter().map(value).collect(),
        status: ended.failed.map(|failed| Status {
            code: match failed {
                true => StatusCode::Error,
                false => StatusCode::Ok,
            }
            .into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::traces::TraceContext;
    use crate::traces::otlp::SpanKind;

    fn ended() -> Ended {
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context: Result<TraceContext, _> = context.parse();
        Ended {
            context: context.unwrap(),
            parent: None,
            kind: SpanKind::Internal,
            name: "test",
            begun_unix_ns: 1,
            took: Duration::from_nanos(1),
            values: vec![(Key::Verb, "get".into())],
            failed: Some(false),
        }
    }

    fn outbox(port: u16) -> Outbox {
        let endpoint = format!("http://127.0.0.1:{port}/v1/traces").parse();
        let program = Program::new("test", "1", "host".to_owned());
        Outbox::open(endpoint.unwrap(), 1, program)
    }

    fn count(outbox: &Outbox, result: &'static str) -> u64 {
        outbox.counts().0.get_or_create(&Fate { result }).get()
    }

    #[tokio::test]
    async fn where_nobody_takes_spans_the_queue_fills_and_no_one_waits() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outbox = outbox(silent.local_addr().unwrap().port());
        for _ in 0..QUEUE + BATCH + 100 {
            outbox.send(ended());
        }
        assert!(count(&outbox, "dropped") >= 100);
        assert_eq!(count(&outbox, "sent"), 0);
        // Nor does a program that stops wait for long.
        let begun = Instant::now();
        outbox.flush().await;
        assert!(begun.elapsed() < 2 * FLUSHING);
    }

    #[tokio::test]
    async fn spans_go_again_where_the_collector_is_busy_and_not_where_it_refuses_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outbox = outbox(listener.local_addr().unwrap().port());
        outbox.send(ended());
        for answer in ["503 Busy", "200 OK", "400 No"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"POST /v1/traces HTTP/1.1\r\n"));
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains("200") {
                outbox.send(ended());
            }
        }
        outbox.flush().await;
        assert_eq!(count(&outbox, "sent"), 1);
        assert_eq!(count(&outbox, "refused"), 1);
    }
}
