//! The order in which the frames of all calls are sent.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use super::flow::Flow;
use super::frame::{Frame, Kind};
use super::outgoing::{MessageKind, Outgoing};

/// The call that a frame was taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) call: u64,
    /// Whether its last message is now sent whole.
    pub(super) ended: bool,
}

/// Decides which frame is sent next: frames about calls come before parts of messages, and the
/// calls that have parts to send take turns.
#[derive(Debug, Default)]
pub(super) struct Sender {
    /// Frames about calls.
    control: VecDeque<Frame>,
    /// How many of them end a call.
    ends: usize,
    /// The calls that wait for their turn.
    turns: VecDeque<u64>,
}

impl Sender {
    pub(super) fn control(&mut self, call: u64, kind: Kind) {
        self.ends += usize::from(kind.ends_call());
        self.control.push_back(Frame { call, kind });
    }

    /// Puts a call into the queue of turns, if it has something to send and credit for it.
    pub(super) fn schedule(&mut self, call: u64, outgoing: &mut Outgoing) {
        if !outgoing.in_turn && outgoing.is_sendable() {
            outgoing.in_turn = true;
            self.turns.push_back(call);
        }
    }

    /// Takes a call that is gone out of the queue of turns.
    pub(super) fn forget(&mut self, call: u64, outgoing: &mut Outgoing) {
        if std::mem::take(&mut outgoing.in_turn) {
            self.turns.retain(|waiting| *waiting != call);
        }
    }

    /// How many calls have an end without an answer that waits to be sent.
    pub(super) const fn ends(&self) -> usize {
        self.ends
    }

    pub(super) fn has_frames(&self) -> bool {
        !self.control.is_empty() || !self.turns.is_empty()
    }

    /// Gives the next frame to `out`. Returns its size and, where it was part of a message, what
    /// call it was taken of.
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
