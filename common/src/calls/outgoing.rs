//! What is to be sent for one call.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use bytes::Bytes;

use super::frame::{Begin, Kind, Violation};
use super::{MAX_PART, MESSAGE_COST};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageKind {
    Call,
    Item,
    End,
}

/// The messages of one call that are still to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    credit: u32,
    current: Option<Message>,
    later: VecDeque<Message>,
    /// Bytes not sent yet.
    queued: usize,
    pub(super) in_turn: bool,
    /// What the call's first frame says of when it may be begun.
    pub(super) not_after: Option<NonZeroU64>,
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
            not_after: None,
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

    pub(super) fn is_sendable(&self) -> bool {
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
    pub(super) fn next_frame(&mut self) -> Option<(Kind, Option<MessageKind>)> {
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
                MessageKind::Call => Kind::Open(begin, self.not_after),
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
