//! The gateway's side: takes calls, and gives each exactly one end.

use std::num::NonZeroU64;

use bytes::Bytes;

use super::budget::Budget;
use super::flow::{Calls, Flow};
use super::frame::{Frame, Kind, Refusal, Violation};
use super::incoming::{Incoming, Progress, Whole};
use super::outgoing::{MessageKind, Outgoing};
use super::sender::Sender;
use super::{
    ANSWER_CREDIT, ANSWER_QUEUE, BATCH, CALL_BUDGET, CALL_CREDIT, MAX_ANSWER, MAX_CALL, MAX_CALLS,
};

/// The gateway's side of one stream. `T` is what carries out a call.
///
/// A call that came as [`Event::Call`] is answered by [`item`](Self::item), as often as there are
/// items, and then by [`end`](Self::end) or [`refuse`](Self::refuse); after [`Event::Cancelled`]
/// answers to it are ignored.
#[derive(Debug)]
pub struct Answering<T> {
    calls: Calls<Call<T>>,
    sender: Sender,
    budget: Budget,
    /// The greatest number that was opened.
    last: u64,
    draining: bool,
    /// Searches that may find more items again.
    roomy: Vec<u64>,
}

#[derive(Debug)]
struct Call<T> {
    work: T,
    outgoing: Outgoing,
    incoming: Incoming,
    /// As its first frame says.
    not_after: Option<NonZeroU64>,
    /// Whether it came whole.
    whole: bool,
    /// Whether its search waits until items were sent.
    full: bool,
    ended: bool,
}

/// What a frame means for the work of this side.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// A whole call, and the moment of this side's monotonic clock after which nothing of it may be
    /// begun, if there is one.
    Call(u64, Bytes, Option<NonZeroU64>),
    /// Nobody waits for this call any more. It comes with what carries it out.
    Cancelled(u64, T),
}

impl<T> Default for Answering<T> {
    fn default() -> Self {
        Self {
            calls: Calls::default(),
            sender: Sender::default(),
            budget: Budget::new(CALL_BUDGET),
            last: 0,
            draining: false,
            roomy: Vec::new(),
        }
    }
}

impl<T: Default> Answering<T> {
    /// Takes a frame that came.
    ///
    /// # Errors
    /// [`Violation`]: the server broke the rules, and the stream must end.
    pub fn handle(&mut self, frame: Frame) -> Result<Option<Event<T>>, Violation> {
        let Frame { call: number, kind } = frame;
        match kind {
            Kind::Open(begin, not_after) => {
                if number <= self.last {
                    return Err(Violation::NumberReused(number));
                }
                self.last = number;
                if self.draining {
                    return Ok(None);
                }
                // For the server a call is open until its end arrives there.
                if self.calls.len() + self.sender.ends() >= MAX_CALLS {
                    return Err(Violation::TooManyCalls);
                }
                let mut incoming = Incoming::new(CALL_CREDIT);
                let progress = incoming.begin(number, MessageKind::Call, begin, MAX_CALL)?;
                let call = Call {
                    work: T::default(),
                    outgoing: Outgoing::new(ANSWER_CREDIT),
                    incoming,
                    not_after,
                    whole: false,
                    full: false,
                    ended: false,
                };
                self.calls.insert(number, call);
                Ok(self.progress(number, progress))
            }
            Kind::Part(data) => match self.known(number)? {
                None => Ok(None),
                Some(call) if call.whole => Err(Violation::Parts(number)),
                Some(call) => {
                    let progress = call.incoming.part(number, &data)?;
                    Ok(self.progress(number, progress))
                }
            },
            Kind::Credit(bytes) => {
                if let Some(call) = self.known(number)? {
                    call.outgoing.add_credit(number, bytes)?;
                    self.schedule(number);
                }
                Ok(None)
            }
            Kind::Cancel => {
                if self.known(number)?.is_none() {
                    return Ok(None);
                }
                let call = self.remove(number);
                self.sender.control(number, Kind::Cancelled);
                Ok(call.map(|call| Event::Cancelled(number, call.work)))
            }
            Kind::Item(_) | Kind::End(_) | Kind::Cancelled | Kind::Refused(_) | Kind::Drain => {
                Err(Violation::UnknownKind)
            }
        }
    }

    /// Keeps what carries out a call together with the call.
    pub fn set_work(&mut self, number: u64, work: T) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.work = work;
        }
    }

    /// Sends an item that a search found. True: it may find another; false: [`Self::take_roomy`]
    /// tells when it may. An item of more than [`MAX_ANSWER`] bytes ends the call, as an
    /// [`end`](Self::end) of that length does.
    pub fn item(&mut self, number: u64, item: Bytes) -> bool {
        if item.len() > MAX_ANSWER as usize {
            self.end(number, item);
            return true;
        }
        let Some(call) = self.calls.get_mut(&number).filter(|call| !call.ended) else {
            return true;
        };
        call.outgoing.push(MessageKind::Item, item);
        call.full = call.outgoing.queued() >= ANSWER_QUEUE;
        let room = !call.full;
        self.schedule(number);
        room
    }

    /// Sends the last answer to a call. Where it has more than [`MAX_ANSWER`] bytes, an empty one
    /// is sent, from which the server learns that the call has ended, and not how.
    pub fn end(&mut self, number: u64, end: Bytes) {
        let Some(call) = self.calls.get_mut(&number).filter(|call| !call.ended) else {
            return;
        };
        let fits = end.len() <= MAX_ANSWER as usize;
        call.ended = true;
        call.outgoing
            .push(MessageKind::End, if fits { end } else { Bytes::new() });
        self.schedule(number);
    }

    /// Ends a call of which nothing was begun.
    pub fn refuse(&mut self, number: u64, refusal: Refusal) {
        if self.remove(number).is_some() {
            let refusal = Box::new(refusal);
            self.sender.control(number, Kind::Refused(refusal));
        }
    }

    /// Ends every call that has not come whole: nothing of it was begun, and no more of it comes.
    pub fn refuse_partial(&mut self, refusal: &Refusal) {
        let partial = self.calls.iter().filter(|(_, call)| !call.whole);
        let mut numbers: Vec<_> = partial.map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        for number in numbers {
            self.refuse(number, refusal.clone());
        }
    }

    /// From now on takes no call but those that were opened.
    pub fn drain(&mut self) {
        if !std::mem::replace(&mut self.draining, true) {
            self.sender.control(self.last, Kind::Drain);
        }
    }

    /// Whether it is drained and has nothing left to send: then the stream may end.
    pub fn is_drained(&self) -> bool {
        self.draining && self.calls.is_empty() && !self.sender.has_frames()
    }

    /// How many calls are under way.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call is under way.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes the searches that may find more items again.
    pub fn take_roomy(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.roomy)
    }

    /// Takes one batch of frames, which count as sent from then on.
    pub fn take(&mut self, mut out: impl FnMut(Frame)) {
        let mut size = 0;
        while size < BATCH {
            let Some((len, taken)) = self.sender.next(&mut self.calls, &mut out) else {
                return;
            };
            size += len;
            let Some(taken) = taken else {
                continue;
            };
            if taken.ended {
                self.calls.remove(&taken.call);
            } else if let Some(call) = self.calls.get_mut(&taken.call)
                && call.full
                && call.outgoing.queued() < ANSWER_QUEUE / 2
            {
                call.full = false;
                self.roomy.push(taken.call);
            }
        }
    }

    /// The call, if it is under way; `None` if it has ended, which the server may not know yet.
    fn known(&mut self, number: u64) -> Result<Option<&mut Call<T>>, Violation> {
        if number > self.last {
            return Err(Violation::UnknownCall(number));
        }
        Ok(self.calls.get_mut(&number))
    }

    fn progress(&mut self, number: u64, progress: Progress) -> Option<Event<T>> {
        let call = self.calls.get_mut(&number)?;
        match progress {
            Progress::Whole(Whole { data, cost, .. }) => {
                call.whole = true;
                let not_after = call.not_after;
                if cost.room > 0 {
                    self.budget.release(cost.room);
                    self.budget.grant(&mut self.calls, &mut self.sender);
                }
                Some(Event::Call(number, data, not_after))
            }
            Progress::More { credit } => {
                if credit > 0 {
                    self.sender.control(number, Kind::Credit(credit));
                }
                if call.incoming.ask_room() {
                    self.budget.ask(number);
                    self.budget.grant(&mut self.calls, &mut self.sender);
                }
                None
            }
        }
    }

    fn schedule(&mut self, number: u64) {
        if let Some(call) = self.calls.get_mut(&number) {
            self.sender.schedule(number, &mut call.outgoing);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Call<T>> {
        let mut call = self.calls.remove(&number)?;
        self.sender.forget(number, &mut call.outgoing);
        let waits = call.incoming.room_asked().is_some();
        let room = call.incoming.discard();
        if waits {
            self.budget.forget(number);
        }
        if room > 0 || waits {
            self.budget.release(room);
            self.budget.grant(&mut self.calls, &mut self.sender);
        }
        Some(call)
    }

    /// The bytes of calls and answers that it holds, and the room that is left.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, u32) {
        let of = |call: &Call<T>| call.incoming.held() + call.outgoing.queued();
        (self.calls.values().map(of).sum(), self.budget.left())
    }
}

impl<T> Flow for Call<T> {
    fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }

    fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }
}
