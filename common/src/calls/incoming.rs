//! What is received for one call: its credit, and the message that is being put together.

use bytes::{Bytes, BytesMut};

use super::frame::{Begin, Violation};
use super::outgoing::MessageKind;
use super::{MAX_PART, MESSAGE_COST};

/// The message that is being received, and what may yet come.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The credit that is always out, in what is used of it or in hand of the peer.
    window: u32,
    /// What the peer may still send.
    credit: u32,
    /// What was read and not given back yet.
    owed: u32,
    /// Nobody reads it: lengths are kept, bytes are not.
    discards: bool,
    partial: Option<Box<Partial>>,
}

#[derive(Debug)]
struct Partial {
    kind: MessageKind,
    len: u32,
    received: u32,
    data: BytesMut,
    room: Room,
}

/// The room that a message is put together in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// It fits into half of the first credit.
    NotNeeded,
    Needed,
    /// It waits for its turn.
    Asked,
    /// It has room; so much of its own credit is not given yet.
    Granted(u32),
}

/// What a frame came to.
#[derive(Debug)]
pub(super) enum Progress {
    /// A message is whole.
    Whole(Whole),
    /// More of it is to come, and so much credit may be given.
    More { credit: u32 },
}

/// A whole message.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) kind: MessageKind,
    pub(super) data: Bytes,
    pub(super) cost: Cost,
}

/// What a message holds until it was read.
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
        // Up to half of the credit is with neither side: read, and not given back yet.
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
            // What nobody reads is put together nowhere.
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

    /// A message was read: so much credit may be given.
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

    /// Does the message need room that was not asked for? It is from now on.
    pub(super) fn ask_room(&mut self) -> bool {
        match &mut self.partial {
            Some(partial) if partial.room == Room::Needed => {
                partial.room = Room::Asked;
                true
            }
            _ => false,
        }
    }

    /// The room that is waited for, in bytes.
    pub(super) fn room_asked(&self) -> Option<u32> {
        let partial = self.partial.as_ref()?;
        (partial.room == Room::Asked).then_some(partial.len)
    }

    /// There is room: so much credit may be given.
    pub(super) fn grant_room(&mut self) -> u32 {
        let Some(mut partial) = self.partial.take() else {
            return 0;
        };
        partial.room = Room::Granted(partial.len);
        let credit = self.renew(&mut partial);
        self.partial = Some(partial);
        credit
    }

    /// Nobody reads it any more. The room that this leaves, in bytes.
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

    /// Keeps the peer supplied with the credit of a message that has room.
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
