//! What is to be sent: the messages of one call, and the turn that calls take.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use bytes::Bytes;

use super::flow::Flow;
use super::frame::{Begin, Frame, Kind, Violation};
use super::{MAX_PART, MESSAGE_COST};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageKind {
    Call,
    Item,
    End,
}

/// The messages of one call that are not sent yet.
#[derive(Debug)]
pub(super) struct Outgoing {
    credit: u32,
    current: Option<Message>,
    later: VecDeque<Message>,
    /// Bytes not sent yet.
    queued: usize,
    in_turn: bool,
}

#[derive(Debug)]
struct Message {
    kind: MessageKind,
    rest: Bytes,
    begun: bool,
}

impl Outgoing {
    pub(super) const fn new(credit: u32) -> Self {
        Self {
            credit,
            current: None,
            later: VecDeque::new(),
            queued: 0,
            in_turn: false,
        }
    }

    pub(super) fn push(&mut self, kind: MessageKind, rest: Bytes) {
        self.queued += rest.len();
        let message = Message {
            kind,
            rest,
            begun: false,
        };
        if self.current.is_none() {
            self.current = Some(message);
        } else {
            self.later.push_back(message);
        }
    }

    /// Forgets what was not sent.
    pub(super) fn clear(&mut self) {
        self.current = None;
        self.later.clear();
        self.queued = 0;
    }

    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    pub(super) fn add_credit(&mut self, call: u64, bytes: u32) -> Result<(), Violation> {
        let credit = self.credit.checked_add(bytes).filter(|_| bytes > 0);
        self.credit = credit.ok_or(Violation::Credit(call))?;
        Ok(())
    }

    fn is_sendable(&self) -> bool {
        match &self.current {
            None => false,
            Some(message) if message.begun => self.credit > 0,
            Some(message) => {
                self.credit > MESSAGE_COST
                    || (self.credit == MESSAGE_COST && message.rest.is_empty())
            }
        }
    }

    /// The next frame, and the message's kind where it is its last.
    fn next_frame(&mut self) -> Option<(Kind, Option<MessageKind>)> {
        if !self.is_sendable() {
            return None;
        }
        let message = self.current.as_mut()?;
        if !message.begun {
            self.credit -= MESSAGE_COST;
        }
        // A length never exceeds `u32`: `push` is given no longer message.
        let len = u32::try_from(message.rest.len()).unwrap_or(u32::MAX);
        let part = len.min(MAX_PART).min(self.credit);
        self.credit -= part;
        self.queued -= part as usize;
        let data = message.rest.split_to(part as usize);
        let kind = if message.begun {
            Kind::Part(data)
        } else {
            message.begun = true;
            let begin = Begin { len, data };
            match message.kind {
                MessageKind::Call => Kind::Open(begin),
                MessageKind::Item => Kind::Item(begin),
                MessageKind::End => Kind::End(begin),
            }
        };
        let whole = message.rest.is_empty().then_some(message.kind);
        if whole.is_some() {
            self.current = self.later.pop_front();
        }
        Some((kind, whole))
    }
}

/// What happened to a call when a frame of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) call: u64,
    /// Its last message is sent.
    pub(super) ended: bool,
}

/// The order of sending: what is about a call before what is in it, and calls in turn.
#[derive(Debug, Default)]
pub(super) struct Sender {
    control: VecDeque<Frame>,
    /// Those of them that end a call.
    ends: usize,
    turns: VecDeque<u64>,
}

impl Sender {
    pub(super) fn control(&mut self, call: u64, kind: Kind) {
        self.ends += usize::from(kind.ends_call());
        self.control.push_back(Frame { call, kind });
    }

    /// Gives a call its turn, where it has something to send and may.
    pub(super) fn schedule(&mut self, call: u64, outgoing: &mut Outgoing) {
        if !outgoing.in_turn && outgoing.is_sendable() {
            outgoing.in_turn = true;
            self.turns.push_back(call);
        }
    }

    /// Takes a call that is gone out of its turn.
    pub(super) fn forget(&mut self, call: u64, outgoing: &mut Outgoing) {
        if std::mem::take(&mut outgoing.in_turn) {
            self.turns.retain(|waiting| *waiting != call);
        }
    }

    /// Calls whose end, without an answer, waits to be sent.
    pub(super) const fn ends(&self) -> usize {
        self.ends
    }

    pub(super) fn has_frames(&self) -> bool {
        !self.control.is_empty() || !self.turns.is_empty()
    }

    /// Gives one frame to `out`: its size, and what it meant for its call where it was part of a message.
    pub(super) fn next<C: Flow, S: BuildHasher>(
        &mut self,
        calls: &mut HashMap<u64, C, S>,
        out: &mut impl FnMut(Frame),
    ) -> Option<(usize, Option<Taken>)> {
        if let Some(frame) = self.control.pop_front() {
            self.ends -= usize::from(frame.kind.ends_call());
            let size = frame.kind.size();
            out(frame);
            return Some((size, None));
        }
        loop {
            let call = self.turns.pop_front()?;
            let Some(outgoing) = calls.get_mut(&call).map(Flow::outgoing) else {
                continue;
            };
            outgoing.in_turn = false;
            let Some((kind, whole)) = outgoing.next_frame() else {
                continue;
            };
            self.schedule(call, outgoing);
            let size = kind.size();
            out(Frame { call, kind });
            let ended = whole == Some(MessageKind::End);
            return Some((size, Some(Taken { call, ended })));
        }
    }
}
