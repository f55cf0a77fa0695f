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
        self.of(result).inc_by(count as u64);
    }

    fn of(&self, result: &'static str) -> Counter {
        self.0.get_or_create_owned(&Fate { result })
    }
}

#[derive(Debug)]
enum Item {
    Ended(Box<Ended>),
    /// Another process's. Sent, or refused, when this is dropped.
    Handed(Handed, oneshot::Sender<()>),
    /// Whatever came before it was sent, or will not be, when this is dropped.
    Flush(oneshot::Sender<()>),
}

/// Spans of a process that reaches no collector, on their way through one that does.
#[derive(Debug, Default)]
pub struct Handed {
    /// An `ExportTraceServiceRequest`.
    pub request: Vec<u8>,
    /// How many it holds.
    pub count: u32,
    /// How many were dropped since the last ones, because too many waited.
    pub dropped: u64,
    /// Who waits until these are handed over.
    _waiting: Option<oneshot::Sender<()>>,
}

impl Handed {
    /// As they came.
    pub const fn new(request: Vec<u8>, count: u32, dropped: u64) -> Self {
        Self {
            request,
            count,
            dropped,
            _waiting: None,
        }
    }
}

/// Spans that wait until another process asks for them.
#[derive(Debug)]
pub struct HeldSpans {
    program: Program,
    gathering: Gathering,
    counts: SpanCounts,
    /// Dropped, and told of.
    told: u64,
}

impl HeldSpans {
    /// The next spans, as soon as there are some; none that was there is lost where nobody waits
    /// for them any more. `None`: there are no more.
    pub async fn next(&mut self) -> Option<Handed> {
        while self.gathering.gather().await {
            let waiting = self.gathering.waiting.take();
            if self.gathering.spans.is_empty() {
                continue;
            }
            let dropped = self.counts.of("dropped").get();
            let handed = Handed {
                request: self.program.encoded(&self.gathering.spans),
                count: self.gathering.spans.len().try_into().unwrap_or(u32::MAX),
                dropped: dropped - std::mem::replace(&mut self.told, dropped),
                _waiting: waiting,
            };
            self.gathering.spans.clear();
            return Some(handed);
        }
        None
    }
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
        let (outbox, gathering) = Self::new(one_in);
        let exporter = Exporter {
            endpoint,
            program,
            gathering,
            counts: outbox.counts().clone(),
            down: false,
        };
        tokio::spawn(exporter.run());
        outbox
    }

    /// Keeps what is left until somebody asks for it.
    pub(super) fn hold(one_in: u32, program: Program) -> (Self, HeldSpans) {
        let (outbox, gathering) = Self::new(one_in);
        let held = HeldSpans {
            program,
            gathering,
            counts: outbox.counts().clone(),
            told: 0,
        };
        (outbox, held)
    }

    fn new(one_in: u32) -> (Self, Gathering) {
        let (queue, items) = mpsc::channel(QUEUE);
        let shared = Shared {
            queue,
            counts: SpanCounts::default(),
            one_in: one_in.max(1),
        };
        (Self(Arc::new(shared)), Gathering::of(items))
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

    /// Leaves the spans of another process, and waits until they were sent or refused.
    pub(super) async fn hand_on(&self, handed: Handed) {
        let dropped = usize::try_from(handed.dropped).unwrap_or(usize::MAX);
        self.0.counts.add("dropped", dropped);
        let (sent, until) = oneshot::channel();
        // Errors say that nothing is sent any more.
        if self.0.queue.send(Item::Handed(handed, sent)).await.is_ok() {
            let _ = until.await;
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

/// Spans that go together.
#[derive(Debug)]
struct Gathering {
    items: mpsc::Receiver<Item>,
    spans: Vec<Ended>,
    /// Another process's, which go with them.
    handed: Handed,
    /// Who waits until what was gathered is sent.
    waiting: Option<oneshot::Sender<()>>,
}

impl Gathering {
    fn of(items: mpsc::Receiver<Item>) -> Self {
        Self {
            items,
            spans: Vec::with_capacity(BATCH),
            handed: Handed::default(),
            waiting: None,
        }
    }

    /// Gathers the next spans, or comes to somebody who waits until there are none before him.
    /// `false`: there is nothing more. What was gathered stays where this is dropped.
    async fn gather(&mut self) -> bool {
        if self.spans.is_empty() {
            let Some(item) = self.items.recv().await else {
                return false;
            };
            if self.take(item) {
                return true;
            }
        }
        let until = Instant::now() + GATHERING;
        while self.spans.len() < BATCH {
            let next = timeout_at(until, self.items.recv()).await.unwrap_or(None);
            if next.is_none_or(|item| self.take(item)) {
                break;
            }
        }
        true
    }

    /// `true`: somebody waits until it is sent.
    fn take(&mut self, item: Item) -> bool {
        match item {
            Item::Ended(ended) => {
                self.spans.push(*ended);
                return false;
            }
            Item::Handed(handed, sent) => {
                self.handed = handed;
                self.waiting = Some(sent);
            }
            Item::Flush(sent) => self.waiting = Some(sent),
        }
        true
    }
}

struct Exporter {
    endpoint: Uri,
    program: Program,
    gathering: Gathering,
    counts: SpanCounts,
    /// The last request came to nothing.
    down: bool,
}

impl Exporter {
    async fn run(mut self) {
        while self.gathering.gather().await {
            self.take_there().await;
            self.gathering.waiting = None;
        }
    }

    /// Sends them, again and again while nobody takes them: what comes meanwhile fills the queue.
    async fn take_there(&mut self) {
        let spans = std::mem::take(&mut self.gathering.spans);
        let handed = std::mem::take(&mut self.gathering.handed);
        let count = spans.len() + handed.count as usize;
        if count == 0 {
            return;
        }
        let mut body = match spans.is_empty() {
            true => Vec::new(),
            false => self.program.encoded(&spans),
        };
        // Two messages, one behind the other, are one: the fields of both are repeated.
        body.extend(handed.request);
        let body = Bytes::from(body);
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
}

impl Program {
    /// Spans of this program, as a collector takes them.
    fn encoded(&self, gathered: &[Ended]) -> Vec<u8> {
        let Self {
            name,
            version,
            host,
        } = self;
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
        outbox.counts().of(result).get()
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
    async fn spans_of_a_process_that_reaches_no_collector_go_through_another_one() {
        let program = || Program::new("test", "1", "host".to_owned());
        let (inner, mut held) = Outbox::hold(1, program());
        for _ in 0..QUEUE + 3 {
            inner.send(ended());
        }
        // Nobody waits for them any more, and none is lost.
        let given_up = timeout(Duration::from_millis(1), async {
            held.gathering.gather().await;
            std::future::pending::<()>().await;
        });
        assert!(given_up.await.is_err());
        let handed = held.next().await.unwrap();
        assert_eq!((handed.count as usize, handed.dropped), (BATCH, 3));
        // Whoever flushes waits until they are handed over.
        let (inner, mut held) = Outbox::hold(1, program());
        inner.send(ended());
        let ((), handed) = tokio::join!(inner.flush(), async {
            let handed = held.next().await.unwrap();
            Handed::new(handed.request.clone(), handed.count, 4)
        });

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outbox = outbox(listener.local_addr().unwrap().port());
        outbox.send(ended());
        let taking = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let body = request[..length]
                .windows(4)
                .position(|end| end == b"\r\n\r\n");
            let body = &request[body.unwrap() + 4..length];
            ExportTraceServiceRequest::decode(body).unwrap()
        };
        let (request, ()) = tokio::join!(taking, outbox.hand_on(handed));
        assert_eq!(request.resource_spans.len(), 2);
        assert_eq!(count(&outbox, "sent"), 2);
        assert_eq!(count(&outbox, "dropped"), 4);
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
