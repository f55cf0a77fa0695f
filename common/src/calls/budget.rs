//! The room of one stream for long messages.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use super::flow::Flow;
use super::frame::Kind;
use super::sender::Sender;

/// The room for long messages, which is given in the order in which it was asked for.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    waiting: VecDeque<u64>,
}

impl Budget {
    /// No message is longer than `room`.
    pub(super) const fn new(room: u32) -> Self {
        Self {
            left: room,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn ask(&mut self, call: u64) {
        self.waiting.push_back(call);
    }

    /// It asks no more.
    pub(super) fn forget(&mut self, call: u64) {
        self.waiting.retain(|waiting| *waiting != call);
    }

    /// A message that had so much room is read or gone.
    pub(super) const fn release(&mut self, room: u32) {
        self.left += room;
    }

    /// Gives room to those who waited longest, for as long as there is any.
    pub(super) fn grant<C: Flow, S: BuildHasher>(
        &mut self,
        calls: &mut HashMap<u64, C, S>,
        sender: &mut Sender,
    ) {
        while let Some(&call) = self.waiting.front() {
            let incoming = calls.get_mut(&call).map(Flow::incoming);
            // One that was given up meanwhile asks no more.
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
