//! The server's side: submits calls, and gets exactly one end for each.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use bytes::Bytes;

use super::budget::Budget;
use super::flow::{Calls, Flow};
use super::frame::{Begin, Frame, Kind, Refusal, Violation};
use super::incoming::{Cost, Incoming, Progress, Whole};
use super::outgoing::{MessageKind, Outgoing};
use super::sender::Sender;
use super::{
    ANSWER_BUDGET, ANSWER_CREDIT, BATCH, CALL_CREDIT, CANCEL_GRACE, MAX_ANSWER, MAX_CALL,
    MAX_CALLS, MAX_WAITING,
};

/// The server's side of one stream. `T` is what waits for a call.
///
/// Whoever submitted a call asks for the [`next`](Self::next) answer until it is another than
/// [`Answer::Item`], or cancels the call.
#[derive(Debug)]
pub struct Calling<T> {
    calls: Calls<Call<T>>,
    sender: Sender,
    budget: Budget,
    /// The calls that were submitted and have no turn yet, in the order of their numbers.
    waiting: VecDeque<u64>,
    /// How many calls take turns or were sent, and have no end from the gateway.
    open: usize,
    last: u64,
    drained: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Draining,
    Closed,
}

#[derive(Debug)]
struct Call<T> {
    tag: T,
    phase: Phase,
    cancelled: bool,
    /// When the end of a cancelled call is overdue: known once the clock is looked at after the
    /// cancellation.
    overdue: Option<u64>,
    /// Whether its reader waits for the next message.
    wanted: bool,
    deadline: u64,
    outgoing: Outgoing,
    incoming: Incoming,
    items: VecDeque<(Bytes, Cost)>,
    /// Its end, and the room of the stream that it takes.
    end: Option<(Answer, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It waits until the gateway takes another call.
    Waiting,
    /// It is among those that take turns, and no byte of it was taken.
    Scheduled,
    /// A byte of it was taken.
    Sent,
    /// It has ended, and its end was not read yet.
    Ended,
}

/// An answer to a call. Each but an item is the end of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One item of a search; another answer follows.
    Item(Bytes),
    /// The last answer.
    End(Bytes),
    /// The gateway began nothing.
    Refused(Refusal),
    /// No byte of it was sent, or none that the gateway will act upon.
    Unsent(Unsent),
    /// Sent, and the stream was lost.
    Lost,
    /// Its time was up.
    Expired {
        /// A byte of it was sent, so nobody knows what became of it.
        sent: bool,
    },
}

/// Why a call was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The stream was lost before.
    Lost,
    /// The gateway takes no new calls through this stream.
    Draining,
    /// [`Calling::hold_back`].
    HeldBack,
}

/// Why a call was not submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSubmitted {
    /// It is longer than [`MAX_CALL`].
    #[error("a call has at most {MAX_CALL} bytes, and this one has more")]
    TooLong,
    /// [`MAX_WAITING`] calls wait already.
    #[error("{MAX_WAITING} calls wait for this gateway already: try again later")]
    Busy,
    /// The stream takes no new calls: another link has to take it.
    #[error("the link takes no new calls")]
    Closed,
}

impl<T> Default for Calling<T> {
    fn default() -> Self {
        Self {
            calls: Calls::default(),
            sender: Sender::default(),
            budget: Budget::new(ANSWER_BUDGET),
            waiting: VecDeque::new(),
            open: 0,
            last: 0,
            drained: false,
            state: State::Open,
        }
    }
}

impl<T: Default> Calling<T> {
    /// Submits an encoded call, which is given up at `deadline` (in milliseconds of the clock that
    /// [`Self::expire`] is given). Returns its number.
    ///
    /// # Errors
    /// [`NotSubmitted`].
    pub fn submit(&mut self, call: Bytes, deadline: u64) -> Result<u64, NotSubmitted> {
        if call.len() > MAX_CALL as usize {
            return Err(NotSubmitted::TooLong);
        }
        if self.state != State::Open {
            return Err(NotSubmitted::Closed);
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(NotSubmitted::Busy);
        }
        self.last += 1;
        let number = self.last;
        let mut outgoing = Outgoing::new(CALL_CREDIT);
        outgoing.push(MessageKind::Call, call);
        let call = Call {
            tag: T::default(),
            phase: Phase::Waiting,
            cancelled: false,
            overdue: None,
            wanted: true,
            deadline,
            outgoing,
            incoming: Incoming::new(ANSWER_CREDIT),
            items: VecDeque::new(),
            end: None,
        };
        self.calls.insert(number, call);
        self.waiting.push_back(number);
        Ok(number)
    }

    /// The next answer to a call. `None`: there is none yet, and the tag that `tag` leaves is given
    /// back when there is.
    pub fn next(&mut self, number: u64, tag: impl FnOnce(&mut T)) -> Option<Answer> {
        let call = self.calls.get_mut(&number)?;
        if let Some((item, cost)) = call.items.pop_front() {
            if call.phase == Phase::Sent {
                let credit = call.incoming.read(cost);
                if credit > 0 {
                    self.sender.control(number, Kind::Credit(credit));
                }
            }
            self.release(cost.room);
            return Some(Answer::Item(item));
        }
        if let Some((end, room)) = call.end.take() {
            if call.phase == Phase::Ended {
                self.calls.remove(&number);
            }
            self.release(room);
            return Some(end);
        }
        tag(&mut call.tag);
        call.wanted = true;
        if call.incoming.ask_room() {
            self.budget.ask(number);
            self.budget.grant(&mut self.calls, &mut self.sender);
        }
        None
    }

    /// Gives a call another deadline.
    pub fn extend(&mut self, number: u64, deadline: u64) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.deadline = deadline;
        }
    }

    /// Nobody waits for this call any more. One of which nothing was sent is certainly not carried
    /// out.
    pub fn cancel(&mut self, number: u64) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.tag = T::default();
        match call.phase {
            Phase::Waiting | Phase::Scheduled | Phase::Ended => self.remove(number),
            Phase::Sent => {
                call.end = None;
                self.cancel_sent(number);
            }
        }
    }

    /// Gives up the calls whose deadline is not after `now`, where the gateway and not their reader
    /// is late. The tags of their readers go to `woken`.
    ///
    /// # Errors
    /// [`Violation::NoEnd`]: the gateway gave a cancelled call no end for [`CANCEL_GRACE`]. The
    /// stream must end, since the call would keep its place for as long as the stream lasts.
    pub fn expire(&mut self, now: u64, woken: &mut Vec<T>) -> Result<(), Violation> {
        let due = |call: &Call<T>| {
            call.wanted && call.deadline <= now && !call.cancelled && call.phase != Phase::Ended
        };
        let numbers: Vec<_> = self
            .calls
            .iter()
            .filter_map(|(number, call)| due(call).then_some(*number))
            .collect();
        for number in numbers {
            let sent = self.is_sent(number);
            if sent {
                self.cancel_sent(number);
            }
            let Some(call) = self.calls.get_mut(&number) else {
                continue;
            };
            call.end = Some((Answer::Expired { sent }, 0));
            woken.push(std::mem::take(&mut call.tag));
            if !sent {
                self.end_unsent(number);
            }
        }
        self.tidy();
        self.overdue(now)
    }

    /// Takes a frame that came. The tags of the readers that waited for it go to `woken`.
    ///
    /// # Errors
    /// [`Violation`]: the gateway broke the rules, and the stream must end.
    pub fn handle(&mut self, frame: Frame, woken: &mut Vec<T>) -> Result<(), Violation> {
        let Frame { call: number, kind } = frame;
        if kind == Kind::Drain {
            if std::mem::replace(&mut self.drained, true) {
                return Err(Violation::UnknownKind);
            }
            woken.append(&mut self.drain(number));
            return Ok(());
        }
        let call = match self.calls.get_mut(&number) {
            Some(call) if call.phase == Phase::Sent => call,
            _ => return Err(Violation::UnknownCall(number)),
        };
        let progress = match kind {
            Kind::Item(begin) => begin_message(call, number, MessageKind::Item, begin)?,
            Kind::End(begin) => begin_message(call, number, MessageKind::End, begin)?,
            Kind::Part(data) => call.incoming.part(number, &data)?,
            Kind::Credit(bytes) => {
                call.outgoing.add_credit(number, bytes)?;
                self.sender.schedule(number, &mut call.outgoing);
                return Ok(());
            }
            Kind::Refused(refusal) => {
                woken.extend(self.end(number, Answer::Refused(*refusal), 0));
                return Ok(());
            }
            Kind::Cancelled if call.cancelled => {
                self.end(number, Answer::Lost, 0);
                return Ok(());
            }
            Kind::Open(..) | Kind::Cancel | Kind::Cancelled | Kind::Drain => {
                return Err(Violation::UnknownKind);
            }
        };
        woken.extend(self.progress(number, progress));
        Ok(())
    }

    /// Ends every call of which nothing was sent. Returns the tags of their readers.
    pub fn hold_back(&mut self) -> Vec<T> {
        self.end_all(Unsent::HeldBack, |_, call| call.phase != Phase::Sent)
    }

    /// Ends every call: the stream is gone. Returns the tags of all readers.
    pub fn lost(&mut self) -> Vec<T> {
        self.state = State::Closed;
        let tags = self.end_all(Unsent::Lost, |_, _| true);
        self.sender = Sender::default();
        tags
    }

    /// Takes no more calls. When what is left was taken, the stream may end.
    pub const fn close(&mut self) {
        self.state = State::Closed;
    }

    /// Whether it was closed or lost.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether it takes new calls.
    pub fn takes_calls(&self) -> bool {
        self.state == State::Open
    }

    /// Whether there is a call that was not sent, and that the gateway would take now.
    pub fn has_unsent(&self) -> bool {
        self.open < MAX_CALLS && !self.waiting.is_empty()
    }

    /// How many calls were not sent.
    pub fn unsent(&self) -> usize {
        self.waiting.len()
    }

    /// The number of the first call that was not sent.
    pub fn first_unsent(&self) -> Option<u64> {
        self.waiting.front().copied()
    }

    /// Whether there is something to take besides calls that were not sent.
    pub fn has_frames_of_sent(&self) -> bool {
        self.sender.has_frames()
    }

    /// The number of the call that was submitted last.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Whether there is something to take, if every call may be sent.
    pub fn has_frames(&self) -> bool {
        self.sender.has_frames() || self.has_unsent()
    }

    /// How many calls are under way, or have an end that was not read or that came after they were
    /// given up.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call is under way.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes one batch of frames, which count as sent from then on. Of the calls that were not
    /// sent, those up to number `last` may be sent.
    pub fn take(&mut self, last: u64, out: impl FnMut(Frame)) {
        self.take_until(last, None, out);
    }

    /// As [`Self::take`]; of those that may be sent now, the gateway begins nothing after the
    /// moment `not_after` of its monotonic clock, in milliseconds.
    pub fn take_until(
        &mut self,
        last: u64,
        not_after: Option<NonZeroU64>,
        mut out: impl FnMut(Frame),
    ) {
        let mut size = 0;
        while size < BATCH {
            self.admit(last, not_after);
            let Some((len, taken)) = self.sender.next(&mut self.calls, &mut out) else {
                return;
            };
            size += len;
            let call = taken.and_then(|taken| self.calls.get_mut(&taken.call));
            if let Some(call) = call.filter(|call| call.phase == Phase::Scheduled) {
                call.phase = Phase::Sent;
            }
        }
    }

    /// The gateway has begun no call beyond `last`, and will not.
    fn drain(&mut self, last: u64) -> Vec<T> {
        if self.state == State::Open {
            self.state = State::Draining;
        }
        self.end_all(Unsent::Draining, |number, call| {
            call.phase != Phase::Sent || number > last
        })
    }

    fn progress(&mut self, number: u64, progress: Progress) -> Option<T> {
        let call = self.calls.get_mut(&number)?;
        match progress {
            Progress::Whole(Whole {
                kind: MessageKind::End,
                data,
                cost,
            }) => self.end(number, Answer::End(data), cost.room),
            Progress::Whole(_) if call.cancelled => None,
            Progress::Whole(Whole { data, cost, .. }) => {
                call.items.push_back((data, cost));
                call.wanted = false;
                Some(std::mem::take(&mut call.tag))
            }
            Progress::More { credit } => {
                if credit > 0 && !call.cancelled {
                    self.sender.control(number, Kind::Credit(credit));
                }
                if call.wanted && !call.cancelled && call.incoming.ask_room() {
                    self.budget.ask(number);
                    self.budget.grant(&mut self.calls, &mut self.sender);
                }
                None
            }
        }
    }

    /// The gateway ended a call that was sent.
    fn end(&mut self, number: u64, answer: Answer, holds: u32) -> Option<T> {
        let call = self.calls.get_mut(&number)?;
        self.open -= 1;
        self.sender.forget(number, &mut call.outgoing);
        let waits = call.incoming.room_asked().is_some();
        let mut room = call.incoming.discard();
        let tag = std::mem::take(&mut call.tag);
        call.phase = Phase::Ended;
        if call.cancelled {
            room += holds;
            // Its reader may still have to learn that its time was up.
            if call.end.is_none() {
                self.calls.remove(&number);
            }
        } else {
            call.end = Some((answer, holds));
        }
        self.give_up_room(number, waits, room);
        Some(tag)
    }

    fn end_all(&mut self, unsent: Unsent, mut which: impl FnMut(u64, &Call<T>) -> bool) -> Vec<T> {
        let numbers: Vec<_> = self
            .calls
            .iter()
            .filter(|(number, call)| call.phase != Phase::Ended && which(**number, call))
            .map(|(number, _)| *number)
            .collect();
        let mut tags = Vec::with_capacity(numbers.len());
        for number in numbers {
            let answer = match unsent {
                Unsent::Lost if self.is_sent(number) => Answer::Lost,
                _ => Answer::Unsent(unsent),
            };
            if self.is_sent(number) {
                tags.extend(self.end(number, answer, 0));
            } else {
                if let Some(call) = self.calls.get_mut(&number) {
                    call.end = Some((answer, 0));
                    tags.push(std::mem::take(&mut call.tag));
                }
                self.end_unsent(number);
            }
        }
        self.tidy();
        tags
    }

    fn overdue(&mut self, now: u64) -> Result<(), Violation> {
        for (number, call) in &mut self.calls {
            if call.cancelled && call.phase == Phase::Sent {
                let overdue = call.overdue.get_or_insert(now.saturating_add(CANCEL_GRACE));
                if *overdue <= now {
                    return Err(Violation::NoEnd(*number));
                }
            }
        }
        Ok(())
    }

    fn is_sent(&self, number: u64) -> bool {
        let call = self.calls.get(&number);
        call.is_some_and(|call| call.phase == Phase::Sent)
    }

    fn cancel_sent(&mut self, number: u64) {
        let Some(call) = self.calls.get_mut(&number).filter(|it| !it.cancelled) else {
            return;
        };
        call.cancelled = true;
        call.outgoing.clear();
        self.sender.forget(number, &mut call.outgoing);
        self.sender.control(number, Kind::Cancel);
        let unread: u32 = call.items.drain(..).map(|(_, cost)| cost.room).sum();
        let waits = call.incoming.room_asked().is_some();
        let room = unread + call.incoming.discard();
        self.give_up_room(number, waits, room);
    }

    fn remove(&mut self, number: u64) {
        if let Ok(place) = self.waiting.binary_search(&number) {
            self.waiting.remove(place);
        }
        self.end_unsent(number);
        if let Some(call) = self.calls.remove(&number) {
            let items: u32 = call.items.iter().map(|(_, cost)| cost.room).sum();
            self.release(items + call.end.map_or(0, |(_, room)| room));
        }
    }

    /// Ends a call of which nothing was sent. The caller takes it out of `waiting`, as
    /// [`Self::tidy`] does.
    fn end_unsent(&mut self, number: u64) {
        if let Some(call) = self.calls.get_mut(&number) {
            if call.phase == Phase::Scheduled {
                self.open -= 1;
                self.sender.forget(number, &mut call.outgoing);
            }
            call.outgoing.clear();
            call.phase = Phase::Ended;
        }
    }

    /// Takes the calls out of `waiting` that wait no longer.
    fn tidy(&mut self) {
        let calls = &self.calls;
        self.waiting.retain(|number| {
            let call = calls.get(number);
            call.is_some_and(|call| call.phase == Phase::Waiting)
        });
    }

    /// Lets the call that has waited longest take turns, if the gateway takes it and its number is
    /// not beyond `last`.
    fn admit(&mut self, last: u64, not_after: Option<NonZeroU64>) {
        if self.open < MAX_CALLS
            && self.waiting.front().is_some_and(|number| *number <= last)
            && let Some(number) = self.waiting.pop_front()
            && let Some(call) = self.calls.get_mut(&number)
        {
            call.phase = Phase::Scheduled;
            call.outgoing.not_after = not_after;
            self.open += 1;
            self.sender.schedule(number, &mut call.outgoing);
        }
    }

    fn give_up_room(&mut self, number: u64, waits: bool, room: u32) {
        if waits {
            self.budget.forget(number);
        }
        if waits || room > 0 {
            self.budget.release(room);
            self.budget.grant(&mut self.calls, &mut self.sender);
        }
    }

    fn release(&mut self, room: u32) {
        if room > 0 {
            self.budget.release(room);
            self.budget.grant(&mut self.calls, &mut self.sender);
        }
    }

    /// The bytes of answers that it holds, and the room that is left.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, u32) {
        let of = |call: &Call<T>| {
            let items: usize = call.items.iter().map(|(item, _)| item.len()).sum();
            let end = match &call.end {
                Some((Answer::End(end), _)) => end.len(),
                _ => 0,
            };
            call.incoming.held() + items + end
        };
        (self.calls.values().map(of).sum(), self.budget.left())
    }
}

fn begin_message<T>(
    call: &mut Call<T>,
    number: u64,
    kind: MessageKind,
    mut begin: Begin,
) -> Result<Progress, Violation> {
    if begin.data.len() == begin.len as usize {
        // It may lie unread for long, and is not to keep the whole batch that it came in.
        begin.data = Bytes::copy_from_slice(&begin.data);
    }
    call.incoming.begin(number, kind, begin, MAX_ANSWER)
}

impl<T> Flow for Call<T> {
    fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }

    fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }
}
