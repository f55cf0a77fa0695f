//! What is received for one call: its credit, and the message that is being put together.

use bytes::{Bytes, BytesMut};

use super::frame::{Begin, Violation};
use super::outgoing::MessageKind;
use super::{MAX_PART, MESSAGE_COST};

/// What is received for one call, in one direction.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The first credit: the sum of what the peer may still send, of what it sent and nobody has
    /// read, and of what is owed to it. What a message that has room is given comes on top.
    window: u32,
    /// Bytes that the peer may still send.
    credit: u32,
    /// Bytes that were read, and that the peer gets credit for when they are half of the window.
    owed: u32,
    /// Whether nobody reads it any more: then lengths are counted, and bytes are dropped.
    discards: bool,
    partial: Option<Box<Partial>>,
}

/// A message of which parts are still to come.
#[derive(Debug)]
struct Partial {
    kind: MessageKind,
    len: u32,
    received: u32,
    data: BytesMut,
    room: Room,
}

/// Where a message stands with the room that it is put together in (see the drawing in `calls`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// It costs no more than half of the window.
    NotNeeded,
    /// It needs room, and nobody has asked for it yet.
    Needed,
    /// It waits until the budget has room for it.
    Asked,
    /// It has room. The number is how many bytes of credit it has yet to be given.
    Granted(u32),
}

/// What a frame made of the message it belongs to.
#[derive(Debug)]
pub(super) enum Progress {
    /// The message is whole.
    Whole(Whole),
    /// More of it is to come. The peer may be given this much credit.
    More { credit: u32 },
}

/// A whole message.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) kind: MessageKind,
    pub(super) data: Bytes,
    pub(super) cost: Cost,
}

/// What a message takes up until it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Of the credit of its call, in bytes.
    pub(super) credit: u32,
    /// Of the room of the stream, in bytes.
    pub(super) room: u32,
}

impl Incoming {
    pub(super) const fn new(window: u32) -> Self {
        Self {
            window,
            credit: window,
            owed: 0,
            discards: false,
            partial: None,
        }
    }

    /// A message begins; `longest` is allowed.
    pub(super) fn begin(
        &mut self,
        call: u64,
        kind: MessageKind,
        begin: Begin,
        longest: u32,
    ) -> Result<Progress, Violation> {
        let Begin { len, data } = begin;
        if len > longest {
            return Err(Violation::TooLong(len));
        }
        let part = part_len(call, &data)?;
        if self.partial.is_some() || part > len || (part == 0 && len > 0) {
            return Err(Violation::Parts(call));
        }
        self.spend(call, MESSAGE_COST + part)?;
        // Up to half of the window may be owed: on the other half alone it has to become whole.
        let needs_room = len + MESSAGE_COST > self.window / 2;
        if part == len {
            let cost = Cost {
                credit: len + MESSAGE_COST,
                room: 0,
            };
            return Ok(Progress::Whole(Whole { kind, data, cost }));
        }
        let mut partial = Partial {
            kind,
            len,
            received: 0,
            data: BytesMut::new(),
            // What nobody reads is not put together.
            room: if needs_room && !self.discards {
                Room::Needed
            } else {
                Room::NotNeeded
            },
        };
        if !self.discards {
            // A message without room of its own holds no more than its credit.
            partial
                .data
                .reserve(if needs_room { self.window } else { len } as usize);
        }
        partial.append(&data, self.discards);
        self.partial = Some(Box::new(partial));
        Ok(Progress::More { credit: 0 })
    }

    /// The message goes on.
    pub(super) fn part(&mut self, call: u64, data: &Bytes) -> Result<Progress, Violation> {
        let part = part_len(call, data)?;
        let Some(partial) = &self.partial else {
            return Err(Violation::Parts(call));
        };
        if part == 0 || part > partial.len - partial.received {
            return Err(Violation::Parts(call));
        }
        self.spend(call, part)?;
        let Some(mut partial) = self.partial.take() else {
            return Err(Violation::Parts(call));
        };
        partial.append(data, self.discards);
        if partial.received < partial.len {
            let credit = self.renew(&mut partial);
            self.partial = Some(partial);
            return Ok(Progress::More { credit });
        }
        let cost = match partial.room {
            // Part of it came on the first credit.
            Room::Granted(left) => Cost {
                credit: MESSAGE_COST + left,
                room: partial.len,
            },
            Room::NotNeeded | Room::Needed | Room::Asked => Cost {
                credit: partial.len + MESSAGE_COST,
                room: 0,
            },
        };
        Ok(Progress::Whole(Whole {
            kind: partial.kind,
            data: partial.data.freeze(),
            cost,
        }))
    }

    /// Notes that a message was read, and gives the credit that the peer may be given for it.
    pub(super) const fn read(&mut self, cost: Cost) -> u32 {
        self.owed += cost.credit;
        if self.owed < self.window / 2 {
            return 0;
        }
        let credit = self.owed;
        self.owed = 0;
        self.credit += credit;
        credit
    }

    /// Asks for room, if the message needs it and nobody has asked: whether that is so.
    pub(super) fn ask_room(&mut self) -> bool {
        match &mut self.partial {
            Some(partial) if partial.room == Room::Needed => {
                partial.room = Room::Asked;
                true
            }
            _ => false,
        }
    }

    /// The room that the message waits for, in bytes.
    pub(super) fn room_asked(&self) -> Option<u32> {
        let partial = self.partial.as_ref()?;
        (partial.room == Room::Asked).then_some(partial.len)
    }

    /// Gives the message its room, and returns the credit that the peer may be given.
    pub(super) fn grant_room(&mut self) -> u32 {
        let Some(mut partial) = self.partial.take() else {
            return 0;
        };
        partial.room = Room::Granted(partial.len);
        let credit = self.renew(&mut partial);
        self.partial = Some(partial);
        credit
    }

    /// Drops what has come, and from now on what comes: nobody reads it. Returns the room that this
    /// frees, in bytes.
    pub(super) fn discard(&mut self) -> u32 {
        self.discards = true;
        let Some(partial) = &mut self.partial else {
            return 0;
        };
        partial.data = BytesMut::new();
        match std::mem::replace(&mut partial.room, Room::NotNeeded) {
            Room::Granted(_) => partial.len,
            Room::NotNeeded | Room::Needed | Room::Asked => 0,
        }
    }

    /// Returns the credit that a message which has room is given next.
    fn renew(&mut self, partial: &mut Partial) -> u32 {
        let Room::Granted(left) = &mut partial.room else {
            return 0;
        };
        if self.credit > self.window / 2 {
            return 0;
        }
        let credit = (self.window - self.credit).min(*left);
        *left -= credit;
        self.credit += credit;
        credit
    }

    fn spend(&mut self, call: u64, bytes: u32) -> Result<(), Violation> {
        let left = self.credit.checked_sub(bytes);
        self.credit = left.ok_or(Violation::NoCredit(call))?;
        Ok(())
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.partial.as_ref().map_or(0, |it| it.data.capacity())
    }
}

impl Partial {
    fn append(&mut self, data: &Bytes, discards: bool) {
        if !discards {
            self.data.extend_from_slice(data);
        }
        self.received += u32::try_from(data.len()).unwrap_or(u32::MAX);
    }
}

fn part_len(call: u64, data: &Bytes) -> Result<u32, Violation> {
    u32::try_from(data.len())
        .ok()
        .filter(|len| *len <= MAX_PART)
        .ok_or(Violation::Parts(call))
}
