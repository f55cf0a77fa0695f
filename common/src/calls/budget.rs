//! The room of one stream for long messages.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use super::flow::Flow;
use super::frame::Kind;
use super::sender::Sender;

/// The room that is left for long messages, and the queue of the calls that wait for some.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    waiting: VecDeque<u64>,
}

impl Budget {
    /// `room` is no less than the longest message: one that asked for more would wait for ever.
    pub(super) const fn new(room: u32) -> Self {
        Self {
            left: room,
            waiting: VecDeque::new(),
        }
    }

    /// Puts a call at the end of the queue.
    pub(super) fn ask(&mut self, call: u64) {
        self.waiting.push_back(call);
    }

    /// Takes a call out of the queue.
    pub(super) fn forget(&mut self, call: u64) {
        self.waiting.retain(|waiting| *waiting != call);
    }

    /// Takes back the room of a message that was read or given up.
    pub(super) const fn release(&mut self, room: u32) {
        self.left += room;
    }

    /// Gives room to the calls that have waited longest, until there is too little for the next.
    pub(super) fn grant<C: Flow, S: BuildHasher>(
        &mut self,
        calls: &mut HashMap<u64, C, S>,
        sender: &mut Sender,
    ) {
        while let Some(&call) = self.waiting.front() {
            let incoming = calls.get_mut(&call).map(Flow::incoming);
            // A call that was given up meanwhile needs none.
            let asked = incoming.and_then(|it| Some((it.room_asked()?, it)));
            if let Some((room, incoming)) = asked {
                if room > self.left {
                    return;
                }
                self.left -= room;
                let credit = incoming.grant_room();
                if credit > 0 {
                    sender.control(call, Kind::Credit(credit));
                }
            }
            self.waiting.pop_front();
        }
    }

    #[cfg(test)]
    pub(super) const fn left(&self) -> u32 {
        self.left
    }
}
