//! The one stream of calls of a link: drives [`Calling`] over HTTP/2.
//!
//! Callers put their calls in and take their answers out under one short lock. The request's body
//! takes what is ready: a call alone at once, one among others when all callers that are ready to
//! run have put theirs in, or so many that none has to wait for more. One task reads what comes
//! back.

use std::convert::Infallible;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use portcullis_common::calls::{Answer, Calling, Frame, NotSubmitted, Violation};
use portcullis_common::stream::Session;
use portcullis_proto::gateway::v1::provisioning_client::ProvisioningClient;
use portcullis_proto::gateway::v1::{CallFrame, CallFrames};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::gate::{Gate, Verdict};
use super::not_after::{Moments, Untold};
use super::transport::Requests;
use super::{lock, printable};

/// How often calls whose time is over are looked for.
const TICK: Duration = Duration::from_secs(1);
/// So many calls go without waiting for more to go with them.
const GATHERED: usize = 32;
/// Largest message taken from a gateway, in bytes: a batch, and a frame beyond it.
const MAX_MESSAGE: usize = 256 * 1024;

/// The calls of one link. Dropping it ends the stream.
#[derive(Debug)]
pub(super) struct CallStream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    epoch: Instant,
    /// A first call came after a time without any.
    calls_again: Notify,
}

#[derive(Debug, Default)]
struct State {
    calling: Calling<Option<Waker>>,
    started: bool,
    /// Waits until there is something to send.
    body: Option<Waker>,
    /// Callers that are ready to run put their calls in first, so that one batch takes all of them.
    gathering: bool,
    /// Ends the gathering.
    gatherer: Option<Waker>,
    /// The last call that was gathered: those up to it wait for no other.
    gathered: u64,
    /// Somebody looks at the deadlines.
    ticking: bool,
    /// The gateway's answer, where it refused the stream.
    refusal: Option<Status>,
}

impl State {
    /// Is there something to send, and nothing to wait for?
    fn is_due(&self) -> bool {
        let calling = &self.calling;
        let gathered = || {
            let first = calling.first_unsent();
            first.is_some_and(|first| first <= self.gathered)
        };
        calling.has_frames()
            && (!self.gathering
                || gathered()
                || calling.has_frames_of_sent()
                || calling.unsent() >= GATHERED)
    }

    /// The body, where there is something for it, or nothing any more.
    fn body_if_due(&mut self) -> Option<Waker> {
        let ends = self.calling.is_closed() && !self.calling.has_frames();
        (ends || self.is_due()).then(|| self.body.take()).flatten()
    }

    /// A call was put in: whom to wake, so that others go with it. One alone waits for nobody.
    fn gather(&mut self) -> Option<Waker> {
        if self.calling.len() == 1 || std::mem::replace(&mut self.gathering, true) {
            return None;
        }
        self.gatherer.take()
    }

    /// All that were ready have put their calls in: the body.
    fn end_gathering(&mut self) -> Option<Waker> {
        self.gathering = false;
        self.gathered = self.calling.last();
        self.body_if_due()
    }
}

/// What the stream of calls needs of its link.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) gateway: String,
    pub(super) session: Arc<Session>,
    pub(super) client: ProvisioningClient<Requests>,
    pub(super) gate: Gate,
    /// `None`: calls may be begun at any time.
    pub(super) moments: Option<Moments>,
}

impl CallStream {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            epoch: Instant::now(),
            calls_again: Notify::new(),
        }))
    }

    /// Submits an encoded call that is given up after `wait`. The first one opens the stream, over
    /// `parts`.
    pub(super) fn submit(
        &self,
        call: Bytes,
        wait: Duration,
        parts: impl FnOnce() -> Parts,
    ) -> Result<UnderWay, NotSubmitted> {
        let deadline = self.0.deadline(wait);
        let mut state = lock(&self.0.state);
        let number = state.calling.submit(call, deadline)?;
        let woken = [state.gather(), state.body_if_due()];
        let ticking = std::mem::replace(&mut state.ticking, true);
        let started = std::mem::replace(&mut state.started, true);
        drop(state);
        if !started {
            tokio::spawn(drive(Arc::clone(&self.0), parts()));
        }
        if !ticking {
            self.0.calls_again.notify_one();
        }
        woken.into_iter().flatten().for_each(Waker::wake);
        Ok(UnderWay {
            shared: Arc::clone(&self.0),
            number,
            ended: false,
        })
    }

    /// Does it take new calls?
    pub(super) fn takes_calls(&self) -> bool {
        lock(&self.0.state).calling.takes_calls()
    }
}

impl Drop for CallStream {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.calling.close();
        let body = state.body.take();
        drop(state);
        if let Some(body) = body {
            body.wake();
        }
    }
}

/// A call that was submitted. Dropping it before its end cancels the call.
#[derive(Debug)]
pub(super) struct UnderWay {
    shared: Arc<Shared>,
    number: u64,
    ended: bool,
}

impl UnderWay {
    /// The next answer. After one that is its end, none follows.
    pub(super) fn next(&mut self) -> impl Future<Output = Answer> {
        std::future::poll_fn(|cx| self.poll_next(cx))
    }

    /// As [`Self::next`], which may take so long.
    pub(super) fn next_within(&mut self, wait: Duration) -> impl Future<Output = Answer> {
        let deadline = self.shared.deadline(wait);
        lock(&self.shared.state)
            .calling
            .extend(self.number, deadline);
        self.next()
    }

    /// What the gateway said, where it did not take the stream at all: nothing was begun then.
    pub(super) fn refusal(&self) -> Option<Status> {
        lock(&self.shared.state).refusal.clone()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut state = lock(&self.shared.state);
        let answer = state.calling.next(self.number, |tag| match tag {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *tag = Some(cx.waker().clone()),
        });
        let body = state.body_if_due();
        drop(state);
        if let Some(body) = body {
            body.wake();
        }
        let Some(answer) = answer else {
            return Poll::Pending;
        };
        self.ended = !matches!(answer, Answer::Item(_));
        Poll::Ready(answer)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = lock(&self.shared.state);
        state.calling.cancel(self.number);
        let body = state.body_if_due();
        drop(state);
        if let Some(body) = body {
            body.wake();
        }
    }
}

impl Shared {
    fn deadline(&self, wait: Duration) -> u64 {
        let deadline = (Instant::now() + wait).duration_since(self.epoch);
        u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)
    }

    /// Hands on what came.
    fn handle(&self, frames: CallFrames) -> Result<(), Violation> {
        let mut woken = Vec::with_capacity(frames.frames.len());
        let mut state = lock(&self.state);
        let mut result = Ok(());
        for frame in frames.frames {
            result =
                Frame::try_from(frame).and_then(|frame| state.calling.handle(frame, &mut woken));
            if result.is_err() {
                break;
            }
        }
        let body = state.body_if_due();
        drop(state);
        woken.push(body);
        wake(woken);
        result
    }

    /// The stream is gone. True: it had not come to its end in order.
    fn lost(&self, end: StreamEnd) -> bool {
        let mut state = lock(&self.state);
        let in_order = matches!(end, StreamEnd::Ended) && !state.calling.takes_calls();
        if let StreamEnd::Refused(status) = end {
            state.refusal = Some(status);
        }
        let woken = state.calling.lost();
        drop(state);
        wake(woken);
        !in_order
    }

    /// Ends each gathering when all that were ready to run have run, for as long as it is polled.
    fn gather(&self) -> impl Future<Output = Infallible> {
        // Whoever wakes itself comes after them.
        let mut yielded = false;
        std::future::poll_fn(move |cx| {
            let mut state = lock(&self.state);
            match &mut state.gatherer {
                Some(waker) => waker.clone_from(cx.waker()),
                None => state.gatherer = Some(cx.waker().clone()),
            }
            if !state.gathering {
                yielded = false;
                return Poll::Pending;
            }
            yielded = !yielded;
            let woken = if yielded {
                Some(cx.waker().clone())
            } else {
                state.end_gathering()
            };
            drop(state);
            if let Some(woken) = woken {
                woken.wake();
            }
            Poll::Pending
        })
    }

    /// Gives up calls whose time is over, until the gateway leaves one without an end.
    async fn expire(&self) -> Violation {
        loop {
            sleep(TICK).await;
            match self.expired() {
                None => self.calls_again.notified().await,
                Some(Ok(())) => {}
                Some(Err(violation)) => return violation,
            }
        }
    }

    /// Wakes those who wait for a call whose time is over. `None`: there is no call.
    fn expired(&self) -> Option<Result<(), Violation>> {
        let mut state = lock(&self.state);
        if state.calling.is_empty() {
            state.ticking = false;
            return None;
        }
        let mut woken = Vec::new();
        let result = (state.calling).expire(self.deadline(Duration::ZERO), &mut woken);
        woken.push(state.body_if_due());
        drop(state);
        wake(woken);
        Some(result)
    }
}

fn wake(tags: Vec<Option<Waker>>) {
    tags.into_iter().flatten().for_each(Waker::wake);
}

/// Opens the stream and reads it to its end. One that does not end in order takes its link with it.
async fn drive(shared: Arc<Shared>, parts: Parts) {
    let Parts {
        gateway,
        session,
        mut client,
        gate,
        moments,
    } = parts;
    let body = Body {
        shared: Arc::clone(&shared),
        gate,
        moments,
    };
    let reading = async {
        client = client.max_decoding_message_size(MAX_MESSAGE);
        let opened = client.calls(body).await;
        // The connection closes with the last of these.
        drop(client);
        let mut answers = match opened {
            Ok(answers) => answers.into_inner(),
            Err(status) => return StreamEnd::Refused(status),
        };
        loop {
            match answers.message().await {
                Ok(Some(frames)) => {
                    if let Err(violation) = shared.handle(frames) {
                        tracing::error!(gateway, %violation, "the gateway broke the rules of the stream of calls: the link is closed");
                        return StreamEnd::Broken;
                    }
                }
                Ok(None) => return StreamEnd::Ended,
                Err(status) => {
                    tracing::debug!(
                        gateway,
                        reason = printable(status.message()),
                        "the stream of calls broke off"
                    );
                    return StreamEnd::Broken;
                }
            }
        }
    };
    let end = tokio::select! {
        end = reading => end,
        violation = shared.expire() => {
            tracing::error!(gateway, %violation, "the gateway does not end calls that were cancelled, and the link is closed: look at its log, restart it, and see that it is of this server's version");
            StreamEnd::Broken
        }
        never = shared.gather() => match never {},
    };
    if shared.lost(end) {
        session.close();
    }
}

/// How a stream ended.
enum StreamEnd {
    /// The gateway ended it.
    Ended,
    Broken,
    /// The gateway did not take it.
    Refused(Status),
}

/// What goes to the gateway.
struct Body {
    shared: Arc<Shared>,
    gate: Gate,
    moments: Option<Moments>,
}

impl Body {
    /// Which calls may go, of those up to `last`, and until when they may be begun. That is looked
    /// up first: the check is to be the younger of the two.
    fn check(&mut self, last: u64, cx: &mut Context<'_>) -> (Poll<Verdict>, Option<NonZeroU64>) {
        let not_after = match self.moments.as_mut().map(|moments| moments.poll(cx)) {
            None => None,
            Some(Poll::Pending) => return (Poll::Pending, None),
            Some(Poll::Ready(Err(Untold))) => return (Poll::Ready(Verdict::None), None),
            Some(Poll::Ready(Ok(not_after))) => not_after,
        };
        (self.gate.poll(last, cx), not_after)
    }
}

impl Stream for Body {
    type Item = CallFrames;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<CallFrames>> {
        let this = &mut *self;
        loop {
            let mut state = lock(&this.shared.state);
            let mut verdict = Poll::Ready(Verdict::UpTo(0));
            let mut not_after = None;
            if state.is_due() && state.calling.has_unsent() {
                let last = state.calling.last();
                drop(state);
                (verdict, not_after) = this.check(last, cx);
                state = lock(&this.shared.state);
            }
            let mut held_back = Vec::new();
            let may_go = match verdict {
                Poll::Ready(Verdict::UpTo(last)) => last,
                Poll::Ready(Verdict::None) => {
                    held_back = state.calling.hold_back();
                    0
                }
                // What is no new call goes meanwhile.
                Poll::Pending => 0,
            };
            let mut frames = Vec::new();
            let put = |frame| frames.push(CallFrame::from(frame));
            state.calling.take_until(may_go, not_after, put);
            let waits = frames.is_empty() && (verdict.is_pending() || !state.is_due());
            let ended = waits && !state.calling.has_frames() && state.calling.is_closed();
            if waits {
                match &mut state.body {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => state.body = Some(cx.waker().clone()),
                }
            }
            drop(state);
            wake(held_back);
            if !frames.is_empty() {
                return Poll::Ready(Some(CallFrames { frames }));
            }
            if ended {
                return Poll::Ready(None);
            }
            if waits {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submit(state: &mut State) {
        let call = Bytes::from_static(b"call");
        state.calling.submit(call, u64::MAX).unwrap();
        state.gather();
    }

    #[test]
    fn a_call_alone_waits_for_nobody() {
        let mut state = State::default();
        submit(&mut state);
        assert!(state.is_due());
    }

    #[test]
    fn calls_beside_others_wait_until_they_are_gathered_or_many() {
        let mut state = State::default();
        submit(&mut state);
        state.calling.take(1, drop);
        for _ in 1..GATHERED {
            submit(&mut state);
            assert!(!state.is_due());
        }
        submit(&mut state);
        assert!(state.is_due());
    }

    #[test]
    fn a_call_that_was_gathered_waits_for_none_that_comes_later() {
        let mut state = State::default();
        submit(&mut state);
        submit(&mut state);
        state.end_gathering();
        submit(&mut state);
        assert!(state.is_due());
        let mut sent = 0;
        state.calling.take(u64::MAX, |_| sent += 1);
        assert_eq!(sent, 3);
        submit(&mut state);
        assert!(!state.is_due());
    }
}
