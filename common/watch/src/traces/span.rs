//! Traces and their spans.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, Instant};

use portcullis_host::clock;
use rand::RngExt as _;
use tracing::{Level, debug, enabled};

use super::context::{TraceContext, random_id};
use super::exporter::{Handed, HeldSpans, Outbox, Program, SpanCounts};
use super::otlp::SpanKind;
use super::settings::TraceSettings;

/// Letters of a name.
const MAX_NAME: usize = 128;

/// Makes traces of what comes. Cheap to clone; by default it is off.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Outbox>);

impl Tracer {
    /// Sends spans where `settings` say, from a task of its own, or is off where they say nothing.
    /// To be called within a runtime.
    pub fn start(settings: &TraceSettings, program: Program) -> Self {
        let endpoint = settings.endpoint.clone();
        Self(endpoint.map(|endpoint| Outbox::open(endpoint, settings.one_in, program)))
    }

    /// The same for a process that reaches no collector: its spans wait until another one takes
    /// them. `None`: it is off.
    pub fn hold(settings: &TraceSettings, program: Program) -> (Self, Option<HeldSpans>) {
        if settings.endpoint.is_none() {
            return (Self::default(), None);
        }
        let (outbox, held) = Outbox::hold(settings.one_in, program);
        (Self(Some(outbox)), Some(held))
    }

    /// Sends spans of a process that reaches no collector, and waits until they were sent, or
    /// refused. Where it is off they are dropped.
    pub async fn hand_on(&self, handed: Handed) {
        if let Some(outbox) = &self.0 {
            outbox.hand_on(handed).await;
        }
    }

    /// Of what came with this `traceparent`; what is none is left out.
    pub fn continued(&self, traceparent: &str) -> Trace {
        self.trace(traceparent.parse().ok(), false)
    }

    /// Of a request that belongs to a trace already, or, where it does not and `may_begin` one, of
    /// a new one.
    pub fn trace(&self, given: Option<TraceContext>, may_begin: bool) -> Trace {
        let place = match given {
            Some(context) => Some(Place::Within(context)),
            None => (may_begin && self.is_drawn()).then(|| Place::New(random_id())),
        };
        Trace {
            tracer: self.clone(),
            place,
        }
    }

    /// The spans that were sent, and those that were not; `None`: it is off.
    pub fn counts(&self) -> Option<&SpanCounts> {
        self.0.as_ref().map(Outbox::counts)
    }

    /// Sends what is still to be sent, for a second at the most.
    pub async fn flush(&self) {
        if let Some(outbox) = &self.0 {
            outbox.flush().await;
        }
    }

    fn is_drawn(&self) -> bool {
        let one_in = self.0.as_ref().map(Outbox::one_in);
        one_in.is_some_and(|one_in| rand::rng().random_range(0..one_in) == 0)
    }
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// A trace that has no span yet.
    New([u8; 16]),
    Within(TraceContext),
}

/// The trace that something belongs to, if any, and the place of that in it. By default there is
/// none.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    tracer: Tracer,
    place: Option<Place>,
}

impl Trace {
    /// The place of whatever comes next, as it is handed on; `None`: there is no trace.
    pub fn context(&self) -> Option<TraceContext> {
        match self.place? {
            Place::New(_) => None,
            Place::Within(context) => Some(context),
        }
    }

    /// The `traceparent` of whatever comes next; empty: there is no trace.
    pub fn traceparent(&self) -> String {
        let context = self.context();
        context.map_or_else(String::new, |context| context.to_string())
    }

    /// Something begins that takes time.
    pub fn begin(&self, kind: Kind, name: &'static str) -> Span {
        let parent = self.context();
        let context = match self.place {
            Some(Place::New(trace)) => Some(TraceContext {
                trace,
                span: random_id(),
                sampled: true,
            }),
            Some(Place::Within(parent)) if parent.sampled && self.tracer.0.is_some() => {
                Some(TraceContext {
                    span: random_id(),
                    ..parent
                })
            }
            _ => None,
        };
        let outbox = context.and(self.tracer.0.clone());
        let open = (outbox.is_some() || enabled!(Level::DEBUG)).then(|| {
            Box::new(Open {
                outbox,
                kind,
                name,
                parent: parent.map(|parent| parent.span),
                begun: Instant::now(),
                begun_unix_ns: clock::now_ns(),
                values: Vec::new(),
                failed: None,
            })
        });
        Span {
            trace: Self {
                tracer: self.tracer.clone(),
                place: context.map(Place::Within).or(self.place),
            },
            open,
        }
    }
}

/// On which side of what is asked for a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is a part of what its program does.
    Internal,
    /// Somebody asked its program.
    Server,
    /// Its program asks somebody.
    Client,
}

/// What a span may say besides its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// What is done, such as `create`.
    Verb,
    /// The resource's name.
    Resource,
    /// The gateway's name.
    Gateway,
    /// Which worker of a gateway in processes.
    Worker,
    /// The connector's name on its gateway.
    Connector,
    /// `done`, `indeterminate` or the kind of failure.
    Outcome,
}

impl Key {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Verb => "portcullis.verb",
            Self::Resource => "portcullis.resource",
            Self::Gateway => "portcullis.gateway",
            Self::Worker => "portcullis.worker",
            Self::Connector => "portcullis.connector",
            Self::Outcome => "portcullis.outcome",
        }
    }
}

/// Something that takes time: it ends when this is dropped. Where more than the usual is logged,
/// its end is, too.
#[must_use = "it ends when it is dropped"]
pub struct Span {
    trace: Trace,
    open: Option<Box<Open>>,
}

/// What is recorded.
struct Open {
    outbox: Option<Outbox>,
    kind: Kind,
    name: &'static str,
    parent: Option<[u8; 8]>,
    begun: Instant,
    begun_unix_ns: u64,
    values: Vec<(Key, Cow<'static, str>)>,
    failed: Option<bool>,
}

impl Span {
    /// The trace of what happens within.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Says more of it, in a word of a closed set.
    pub fn set(&mut self, key: Key, word: &'static str) {
        if let Some(open) = &mut self.open {
            open.values.push((key, word.into()));
        }
    }

    /// The same with the name of something that is configured; of a long one its beginning.
    pub fn set_name(&mut self, key: Key, name: &str) {
        if let Some(open) = &mut self.open {
            let name: String = name.chars().take(MAX_NAME).collect();
            open.values.push((key, name.into()));
        }
    }

    /// It ended so: `done`, or what else came of it.
    pub fn end(mut self, outcome: &'static str) {
        self.set(Key::Outcome, outcome);
        if let Some(open) = &mut self.open {
            open.failed = Some(outcome != crate::calls::DONE);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let took = open.begun.elapsed();
        let values = Values(&open.values);
        let trace = self.trace.context();
        let trace = trace.as_ref().map(TraceContext::trace_id);
        debug!(span = open.name, trace, took_us = micros(took), %values, "span");
        if let (Some(outbox), Some(context)) = (open.outbox, self.trace.context()) {
            outbox.send(Ended {
                context,
                parent: open.parent,
                kind: match open.kind {
                    Kind::Internal => SpanKind::Internal,
                    Kind::Server => SpanKind::Server,
                    Kind::Client => SpanKind::Client,
                },
                name: open.name,
                begun_unix_ns: open.begun_unix_ns,
                took,
                values: open.values,
                failed: open.failed,
            });
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").finish_non_exhaustive()
    }
}

/// A span that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) context: TraceContext,
    pub(super) parent: Option<[u8; 8]>,
    pub(super) kind: SpanKind,
    pub(super) name: &'static str,
    pub(super) begun_unix_ns: u64,
    pub(super) took: Duration,
    pub(super) values: Vec<(Key, Cow<'static, str>)>,
    pub(super) failed: Option<bool>,
}

/// As the log has them.
struct Values<'a>(&'a [(Key, Cow<'static, str>)]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (key, value)) in self.0.iter().enumerate() {
            let gap = if number == 0 { "" } else { " " };
            write!(f, "{gap}{}={value:?}", key.name())?;
        }
        Ok(())
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_off_hands_on_what_came_and_begins_nothing() {
        let off = Tracer::default();
        assert_eq!(off.trace(None, true).traceparent(), "");
        assert_eq!(off.continued("nonsense").traceparent(), "");
        let span = off.continued(GIVEN).begin(Kind::Server, "call");
        assert_eq!(span.trace().traceparent(), GIVEN);
        assert!(off.counts().is_none());
    }

    #[tokio::test]
    async fn what_is_on_begins_a_trace_once_and_goes_on_with_what_came() {
        let settings = TraceSettings {
            endpoint: Some("http://127.0.0.1:1/v1/traces".parse().unwrap()),
            one_in: 1,
        };
        let on = Tracer::start(&settings, Program::new("test", "1", "host".to_owned()));
        let trace = on.trace(None, true);
        assert_eq!(trace.context(), None);
        let outer = trace.begin(Kind::Server, "outer");
        let inner = outer.trace().begin(Kind::Internal, "inner");
        let (one, two) = (outer.trace().context(), inner.trace().context());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.trace, two.trace);
        assert_ne!(one.span, two.span);
        let given = on
            .continued(GIVEN)
            .begin(Kind::Server, "call")
            .trace()
            .context();
        let given = given.unwrap();
        assert_eq!(given.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(given.to_string(), GIVEN);
        // Whoever does not want it recorded sees it handed on as it came.
        let unwanted = GIVEN.replace("-01", "-00");
        let given = unwanted.parse().ok();
        let span = on.trace(given, true).begin(Kind::Server, "call");
        assert_eq!(span.trace().traceparent(), unwanted);
        assert_eq!(on.trace(None, false).traceparent(), "");
    }
}
