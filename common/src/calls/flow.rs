//! What both sides keep of all their calls.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use super::frame::Kind;
use super::incoming::Incoming;
use super::outgoing::{Outgoing, Sender};

/// The two directions of one call.
pub(super) trait Flow {
    fn outgoing(&mut self) -> &mut Outgoing;
    fn incoming(&mut self) -> &mut Incoming;
}

/// Calls by their numbers.
pub(super) type Calls<C> = HashMap<u64, C, BuildHasherDefault<NumberHasher>>;

/// Spreads numbers that were counted up. Whoever chooses them otherwise gains little: there are never many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

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
