//! How much of the journal each server may fill: so much that room is always left for another,
//! whether one acknowledges nothing or makes more calls than all others.
//!
//! The bound of each is four times what is free, as buffers of packets are shared (Choudhury and
//! Hahne, "Dynamic queue length thresholds", 1998): alone, a server fills four fifths; of several
//! that fill all they may, each has the same, and whoever comes last finds some room. No list of
//! servers is needed for that, nor a part for one that is idle.

use std::collections::HashMap;

use portcullis_common::id::ServerId;

use super::record::{OVERHEAD, Record};

/// What a server may have, as a multiple of what is free.
const TIMES_FREE: u64 = 4;

/// Bytes of the records of each server.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares(HashMap<ServerId, u64>);

/// Bytes of the records of a call, as most are.
const ONE_CALL: u64 = 512;

/// What a server has of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The server.
    pub server: ServerId,
    /// Bytes of its records.
    pub bytes: u64,
    /// Whether the next of its calls that changes something has room.
    pub writable: bool,
}

/// Whether there is room for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// The file has no more.
    Full,
    /// Its server has so many bytes already, and what is left is for others.
    Share(u64),
}

impl Shares {
    /// Counts a record in.
    pub(super) fn add(&mut self, record: &Record) {
        if let Some(server) = record.server() {
            *self.0.entry(server).or_default() += bytes(record);
        }
    }

    /// Counts all records of others in.
    pub(super) fn add_all(&mut self, others: &Self) {
        for (server, bytes) in &others.0 {
            *self.0.entry(*server).or_default() += bytes;
        }
    }

    /// What each server has of a file of `length` bytes that may have `most`.
    pub(super) fn told(&self, length: u64, most: u64) -> Vec<Share> {
        let free = most.saturating_sub(length.saturating_add(ONE_CALL));
        let bound = free.saturating_mul(TIMES_FREE);
        let of = |(server, bytes): (&ServerId, &u64)| Share {
            server: *server,
            bytes: *bytes,
            writable: bytes.saturating_add(ONE_CALL) <= bound,
        };
        self.0.iter().map(of).collect()
    }

    /// Whether a record has room in a file of `length` bytes that may have `most`, where `drafted`
    /// is to be written before it.
    pub(super) fn room(&self, record: &Record, drafted: &Self, (length, most): (u64, u64)) -> Room {
        let needed = bytes(record);
        let Some(free) = most.checked_sub(length.saturating_add(needed)) else {
            return Room::Full;
        };
        let Some(server) = record.server() else {
            return Room::Enough;
        };
        let of = |shares: &Self| shares.0.get(&server).copied().unwrap_or_default();
        let has = of(self).saturating_add(of(drafted));
        match has.saturating_add(needed) <= free.saturating_mul(TIMES_FREE) {
            true => Room::Enough,
            false => Room::Share(has),
        }
    }
}

/// What a record takes in the file.
fn bytes(record: &Record) -> u64 {
    (record.length() + OVERHEAD) as u64
}

impl Record {
    fn server(&self) -> Option<ServerId> {
        let server = match self {
            Self::Begun(begun) => &begun.server,
            Self::Ended(ended) => &ended.server,
            Self::Barred(barred) => &barred.server,
            Self::Acknowledged(acknowledged) => &acknowledged.server,
            Self::Flushed => return None,
        };
        ServerId::from_bytes(server)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Barred;
    use super::*;

    fn barred(server: u8) -> Record {
        Record::Barred(Barred {
            server: vec![server; 16],
            call_id: "call".to_owned(),
            ..Barred::default()
        })
    }

    #[test]
    fn none_that_comes_late_finds_the_journal_full_and_all_that_fill_it_have_the_same() {
        const MOST: u64 = 1 << 20;
        let none = Shares::default();
        let mut shares = Shares::default();
        let mut length = 0;
        for late in 0..5 {
            let (record, before) = (barred(late), length);
            while shares.room(&record, &none, (length, MOST)) == Room::Enough {
                shares.add(&record);
                length += bytes(&record);
            }
            assert!(length > before, "server {late}");
            assert!(late > 0 || (length > MOST * 79 / 100 && length <= MOST * 4 / 5));
        }
        let mut shares = Shares::default();
        let mut length = 0;
        let mut turn: u8 = 0;
        let mut stopped = 0;
        while stopped < 4 {
            let record = barred(turn % 4);
            if shares.room(&record, &none, (length, MOST)) == Room::Enough {
                shares.add(&record);
                length += bytes(&record);
                stopped = 0;
            } else {
                stopped += 1;
            }
            turn = turn.wrapping_add(1);
        }
        // Each has what it may, and is told so; whoever comes next finds room all the same.
        assert!(
            shares
                .told(length, MOST)
                .iter()
                .all(|share| !share.writable)
        );
        let all: Vec<_> = shares.0.values().copied().collect();
        assert_eq!(all.len(), 4);
        assert!(
            all.iter()
                .all(|one| one.abs_diff(all[0]) <= bytes(&barred(0))),
            "{all:?}"
        );
        assert!(length < MOST * 95 / 100, "{length}");
    }
}
