//! Drives [`Answering`] over one HTTP/2 stream: a call that is done at once is carried out where
//! its frame is read, any other in a task, and what is ready goes in one batch.

use std::collections::{HashMap, VecDeque};
use std::error::Error as _;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use portcullis_common::calls::{Answering, Event, Frame, MAX_ANSWER, Refusal, Violation};
use portcullis_common::handshake::{CallSecrets, ExporterSecret, Way};
use portcullis_common::stream::{open_call, seal_outcome, seal_secrets};
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{CallFrame, CallFrames};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::call_log::{panicked, panicked_while};
use super::door::SessionCalls;
use crate::model::{Failure, SearchEvent, SyncEvent};
use crate::moment::NotAfter;

/// A call of more bytes takes long enough to read to hold up those beside it.
pub(super) const LARGE: usize = 64 << 10;

/// How many events of a search or sync are taken from it at once.
const EVENTS: usize = 32;

/// How many frames are taken before those that are ready are sent.
const FRAMES: usize = 32;

/// The answers to the calls of one session, which it reads and carries out while it is polled.
pub struct CallStream {
    input: Option<Streaming<CallFrames>>,
    answering: Answering<Option<AbortHandle>>,
    calls: SessionCalls,
    exporter: ExporterSecret,
    obeyed: Obeyed,
    /// In tasks of their own: they go on, and keep to their deadlines, also where nothing can be
    /// sent.
    running: JoinSet<Stepped>,
    /// Searches and syncs that wait until their items were sent.
    full: HashMap<u64, Stepping>,
    drain: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Tells that the session has to end, since the server broke the rules.
    broken: Option<Box<dyn FnOnce() + Send>>,
    /// What the stream ends with once all that is ready was sent.
    end: Option<Status>,
    /// Whatever else came to its end at the same time is in the batch, too.
    gathered: bool,
    /// A batch was handed over, and may be sent before this goes on.
    handed_over: bool,
}

/// Whether the server that the session is with may have calls begun now.
pub(super) type Obeyed = Arc<dyn Fn() -> bool + Send + Sync>;

type Step = Pin<Box<dyn Future<Output = Stepped> + Send>>;

/// What a step of a call came to.
enum Stepped {
    Ended(u64, Bytes),
    Refused(u64, Refusal),
    Found(u64, Bytes, Stepping),
}

/// A search or a sync under way.
struct Stepping {
    call_id: Arc<str>,
    events: Events,
    /// Taken, and not sent yet.
    taken: VecDeque<Kind>,
    answers: CallSecrets,
}

/// What a search or a sync finds, as it comes.
pub(super) enum Events {
    Search(mpsc::Receiver<SearchEvent>),
    Sync(mpsc::Receiver<SyncEvent>),
    /// By a worker.
    Told(mpsc::Receiver<Kind>),
}

impl Events {
    /// The next one, and those that are there with it; none once it broke off.
    pub(super) async fn next(&mut self) -> VecDeque<Kind> {
        match self {
            Self::Search(events) => several(events, found).await,
            Self::Sync(events) => several(events, changed).await,
            Self::Told(events) => several(events, |kind| kind).await,
        }
    }
}

/// A step for each would be a task for each where they come one after the other.
async fn several<T>(events: &mut mpsc::Receiver<T>, kind: fn(T) -> Kind) -> VecDeque<Kind> {
    let mut taken = Vec::new();
    events.recv_many(&mut taken, EVENTS).await;
    taken.into_iter().map(kind).collect()
}

impl CallStream {
    /// Reads calls from `input`, until that or `drain` and then the last call ends. Calls `broken`
    /// where the server breaks the rules: the session has no other stream and is of no use then.
    pub(super) fn new(
        input: Streaming<CallFrames>,
        calls: SessionCalls,
        exporter: ExporterSecret,
        obeyed: Obeyed,
        drain: impl Future<Output = ()> + Send + 'static,
        broken: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self {
            input: Some(input),
            answering: Answering::default(),
            calls,
            exporter,
            obeyed,
            running: JoinSet::new(),
            full: HashMap::new(),
            drain: Some(Box::pin(drain)),
            broken: Some(Box::new(broken)),
            end: None,
            gathered: false,
            handed_over: false,
        }
    }

    /// Takes what came. An error ends the stream, as its end does; with a text, the server broke
    /// the rules.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Option<String>> {
        let mut left = FRAMES;
        while left > 0 {
            let Some(input) = &mut self.input else {
                return Err(None);
            };
            match Pin::new(input).poll_next(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(None) => return Err(None),
                Poll::Ready(Some(Err(status))) => return Err(unreadable(&status)),
                Poll::Ready(Some(Ok(frames))) => {
                    left = left.saturating_sub(frames.frames.len().max(1));
                    for frame in frames.frames {
                        self.handle(frame, cx)
                            .map_err(|violation| Some(violation.to_string()))?;
                    }
                }
            }
        }
        // There may be more, which nothing else would tell of.
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Nothing more is taken. What has not come whole is given an end, so that nobody has to wonder
    /// what became of it.
    fn give_up(&mut self, violation: String) {
        tracing::warn!(
            violation,
            "the server broke the rules of the stream of calls, which ends, and the session with it: see that both are of the same version"
        );
        self.input = None;
        self.answering.refuse_partial(&invalid(
            "the stream of calls broke off before the call came whole",
        ));
        self.end = Some(Status::invalid_argument(violation));
        if let Some(broken) = self.broken.take() {
            broken();
        }
    }

    /// Sends what is ready, and then that the stream is over.
    fn end(&mut self, end: Status) -> Poll<Option<Result<CallFrames, Status>>> {
        let frames = self.take();
        if frames.is_empty() {
            return Poll::Ready(Some(Err(end)));
        }
        self.end = Some(end);
        Poll::Ready(Some(Ok(CallFrames { frames })))
    }

    fn take(&mut self) -> Vec<CallFrame> {
        let mut frames = Vec::new();
        self.answering
            .take(|frame| frames.push(CallFrame::from(frame)));
        frames
    }

    fn handle(&mut self, frame: CallFrame, cx: &mut Context<'_>) -> Result<(), Violation> {
        match self.answering.handle(Frame::try_from(frame)?)? {
            None => {}
            Some(Event::Call(number, ..)) if !(self.obeyed)() => {
                self.answering.refuse(number, refusal(Failure::late()));
            }
            Some(Event::Call(number, call, not_after)) => {
                self.begin(number, call, NotAfter::new(not_after), cx);
            }
            Some(Event::Cancelled(number, abort)) => {
                self.full.remove(&number);
                if let Some(abort) = abort {
                    abort.abort();
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, number: u64, call: Bytes, not_after: NotAfter, cx: &mut Context<'_>) {
        let (calls, exporter) = (self.calls.clone(), self.exporter.clone());
        if call.len() > LARGE {
            let reading = read_at_length(calls, exporter, number, call, not_after);
            self.start(number, Box::pin(reading), cx);
            return;
        }
        match opened(&exporter, call) {
            Ok(call) => {
                let step = first(calls, exporter, number, call, not_after);
                self.start(number, Box::pin(step), cx);
            }
            Err(message) => self.answering.refuse(number, invalid(message)),
        }
    }

    /// Many a step is done at once: only what is not is kept.
    fn start(&mut self, number: u64, mut step: Step, cx: &mut Context<'_>) {
        // No step starts the next one: small objects are there by the thousand, and a stack has an
        // end.
        while let Poll::Ready(stepped) = step.as_mut().poll(cx) {
            match self.stepped(stepped) {
                Some((_, next)) => step = next,
                None => return,
            }
        }
        let abort = self.running.spawn(step);
        self.answering.set_work(number, Some(abort));
    }

    /// Takes what a step came to. What it answers is the call's next step.
    fn stepped(&mut self, stepped: Stepped) -> Option<(u64, Step)> {
        match stepped {
            Stepped::Ended(number, end) => self.answering.end(number, end),
            Stepped::Refused(number, refusal) => self.answering.refuse(number, refusal),
            Stepped::Found(number, item, search) => {
                if self.answering.item(number, item) {
                    return Some((number, Box::pin(search.step(number))));
                }
                self.full.insert(number, search);
            }
        }
        None
    }

    /// Takes what came to its end meanwhile. True: something did. `None`: a call was lost.
    fn work(&mut self, cx: &mut Context<'_>) -> Option<bool> {
        let mut worked = false;
        while let Poll::Ready(Some(stepped)) = self.running.poll_join_next(cx) {
            match stepped {
                Ok(stepped) => {
                    if let Some((number, next)) = self.stepped(stepped) {
                        self.start(number, next, cx);
                    }
                }
                Err(error) if error.is_cancelled() => continue,
                Err(_) => return None,
            }
            worked = true;
        }
        Some(worked)
    }

    fn resume(&mut self, cx: &mut Context<'_>) {
        for number in self.answering.take_roomy() {
            if let Some(search) = self.full.remove(&number) {
                self.start(number, Box::pin(search.step(number)), cx);
            }
        }
    }
}

impl Stream for CallStream {
    type Item = Result<CallFrames, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if std::mem::take(&mut this.handed_over) {
            // The server then has something to do while this goes on.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(end) = this.end.take() {
            return this.end(end);
        }
        match this.read(cx) {
            Ok(()) => {}
            Err(Some(violation)) => {
                this.give_up(violation);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // Whoever is gone learns nothing any more.
            Err(None) => {
                this.input = None;
                return Poll::Ready(None);
            }
        }
        let Some(worked) = this.work(cx) else {
            this.input = None;
            let lost = "the gateway failed while it carried out a call; its log says more";
            return Poll::Ready(Some(Err(Status::internal(lost))));
        };
        if worked && this.answering.len() > 1 && !this.gathered {
            this.gathered = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.gathered = false;
        if let Some(drain) = &mut this.drain
            && drain.as_mut().poll(cx).is_ready()
        {
            this.drain = None;
            this.answering.drain();
        }
        let frames = this.take();
        this.resume(cx);
        if !frames.is_empty() {
            this.handed_over = frames.len() >= FRAMES;
            Poll::Ready(Some(Ok(CallFrames { frames })))
        } else if this.answering.is_drained() {
            this.input = None;
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }
}

impl fmt::Debug for CallStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStream")
            .field("calls", &self.answering.len())
            .finish_non_exhaustive()
    }
}

/// What is wrong with a message that cannot be read; `None` where the connection broke, of which
/// the message knows nothing.
fn unreadable(status: &Status) -> Option<String> {
    let text = || {
        format!(
            "a message of frames that cannot be read: {}",
            status.message()
        )
    };
    status.source().is_none().then(text)
}

fn invalid(message: &str) -> Refusal {
    refusal(Failure::invalid(message))
}

fn refusal(failure: Failure) -> Refusal {
    Refusal {
        kind: wire::FailureKind::from(failure.kind).into(),
        message: failure.message,
    }
}

/// The call that these bytes are, with its secrets; or why there is none.
fn opened(exporter: &ExporterSecret, call: Bytes) -> Result<wire::Call, &'static str> {
    let call = wire::Call::decode(call);
    let mut call =
        call.map_err(|_| "the call cannot be read: the server has to be of the same version")?;
    open_call(exporter, &mut call).map_err(|_| {
        "a secret of the call was not sealed for this session: the server has to be of the same version"
    })?;
    Ok(call)
}

/// Reads a call off the threads that all other calls go on in, and begins it. A few bytes may
/// become much that is held until it has ended: there is room for so many bytes only.
async fn read_at_length(
    calls: SessionCalls,
    exporter: ExporterSecret,
    number: u64,
    call: Bytes,
    not_after: NotAfter,
) -> Stepped {
    let Some(_room) = calls.room_for(call.len()) else {
        let message = "this gateway carries out as many long calls already as it has room for: try again later";
        return Stepped::Refused(
            number,
            Refusal {
                kind: wire::FailureKind::Busy.into(),
                message: message.to_owned(),
            },
        );
    };
    let secret = exporter.clone();
    let reading = tokio::task::spawn_blocking(move || opened(&secret, call));
    match reading.await {
        Ok(Ok(call)) => first(calls, exporter, number, call, not_after).await,
        Ok(Err(message)) => Stepped::Refused(number, invalid(message)),
        Err(_) => {
            let message = "the gateway failed while it read the call; its log says more";
            Stepped::Refused(number, invalid(message))
        }
    }
}

/// The first step of a call, which for most is the only one.
async fn first(
    calls: SessionCalls,
    exporter: ExporterSecret,
    number: u64,
    call: wire::Call,
    not_after: NotAfter,
) -> Stepped {
    let (call_id, answers) = (
        call.call_id.as_str().into(),
        CallSecrets::new(&exporter, Way::Answer, &call.call_id),
    );
    if !has_items(&call) {
        return execute(calls, exporter, number, call, not_after).await;
    }
    if not_after.has_passed() {
        return Stepped::Refused(number, refusal(Failure::late()));
    }
    let events = calls.events(call);
    let stepping = Stepping {
        call_id,
        events,
        taken: VecDeque::new(),
        answers,
    };
    stepping.step(number).await
}

/// Whatever panics within a call ends that call alone.
async fn execute(
    calls: SessionCalls,
    exporter: ExporterSecret,
    number: u64,
    call: wire::Call,
    not_after: NotAfter,
) -> Stepped {
    let (call_id, changes, look) = (call.call_id.clone(), call.changes(), call.look);
    let executing = AssertUnwindSafe(calls.execute(call, not_after)).catch_unwind();
    let mut outcome = executing
        .await
        .unwrap_or_else(|_| panicked_while(&call_id, changes).into_wire(call_id));
    if !look && let Some(refusal) = not_begun(&outcome) {
        return Stepped::Refused(number, refusal);
    }
    seal_outcome(&exporter, &mut outcome);
    Stepped::Ended(number, bounded(outcome).encode_to_vec().into())
}

/// Of a call that came too late, or after its id was barred.
fn not_begun(outcome: &wire::Outcome) -> Option<Refusal> {
    let Some(wire::outcome::Result::Failed(failure)) = &outcome.result else {
        return None;
    };
    let begun_never = [wire::FailureKind::Late, wire::FailureKind::NotBegun];
    begun_never.contains(&failure.kind()).then(|| Refusal {
        kind: failure.kind,
        message: failure.message.clone(),
    })
}

/// An outcome that a server takes.
pub(super) fn bounded(mut outcome: wire::Outcome) -> wire::Outcome {
    if outcome.encoded_len() > MAX_ANSWER as usize {
        let message = "the answer is longer than a server takes: look at the object before you try again, and ask for less of it";
        outcome.result = Some(wire::outcome::Result::Indeterminate(wire::Indeterminate {
            message: message.to_owned(),
            ..wire::Indeterminate::default()
        }));
    }
    outcome
}

/// Whether a call has a stream of answers.
pub(super) fn has_items(call: &wire::Call) -> bool {
    matches!(call.verb, Some(Verb::Search(_) | Verb::Sync(_)))
}

impl Stepping {
    async fn step(self, number: u64) -> Stepped {
        let call_id = Arc::clone(&self.call_id);
        let stepping = AssertUnwindSafe(self.next(number)).catch_unwind();
        stepping.await.unwrap_or_else(|_| {
            let end = failed(panicked(&call_id));
            Stepped::Ended(number, end.encode_to_vec().into())
        })
    }

    async fn next(mut self, number: u64) -> Stepped {
        if self.taken.is_empty() {
            self.taken = self.events.next().await;
        }
        let mut item = match self.taken.pop_front() {
            Some(kind) => wire::SearchItem { kind: Some(kind) },
            None => failed(Failure::internal("the gateway stopped before the end")),
        };
        let is_end = matches!(item.kind, Some(Kind::End(_)));
        seal_secrets(&mut self.answers, item.secrets_mut());
        if item.encoded_len() > MAX_ANSWER as usize {
            let message = "an object is longer than a server takes: ask for fewer attributes";
            let end = failed(Failure::internal(message));
            return Stepped::Ended(number, end.encode_to_vec().into());
        }
        let item = item.encode_to_vec().into();
        if is_end {
            Stepped::Ended(number, item)
        } else {
            Stepped::Found(number, item, self)
        }
    }
}

fn found(event: SearchEvent) -> Kind {
    match event {
        SearchEvent::Found(object) => Kind::Object((*object).into()),
        SearchEvent::Listed(objects) => Kind::Listing(wire::Listing { objects }),
        SearchEvent::End(cookie, failure) => Kind::End(wire::SearchEnd {
            next_cookie: cookie.as_bytes().to_vec(),
            failure: failure.map(Into::into),
            ..wire::SearchEnd::default()
        }),
    }
}

fn changed(event: SyncEvent) -> Kind {
    match event {
        SyncEvent::Changed(change) => change.into(),
        SyncEvent::End(Ok(synced)) => Kind::End(wire::SearchEnd {
            next_token: synced.token.as_bytes().to_vec(),
            more: synced.more,
            ..wire::SearchEnd::default()
        }),
        SyncEvent::End(Err(failure)) => Kind::End(failed_end(failure)),
    }
}

fn failed(failure: Failure) -> wire::SearchItem {
    wire::SearchItem {
        kind: Some(Kind::End(failed_end(failure))),
    }
}

fn failed_end(failure: Failure) -> wire::SearchEnd {
    wire::SearchEnd {
        failure: Some(failure.into()),
        ..wire::SearchEnd::default()
    }
}
