//! Sorts more entries than there is memory for: in runs, which lie one after the other in a file
//! without a name and are merged as they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use super::entry::Entry;
use crate::error::CliError;

/// Bytes of entries that are sorted in memory.
const ROOM: usize = 16 << 20;

/// Bytes that are read of a run at a time. An entry is far shorter.
const PIECE: usize = 64 << 10;

/// Bytes of an entry at the most: what is longer was not written here.
const MOST: usize = 16 << 20;

/// Takes entries in any order.
pub(crate) struct Sorter {
    room: usize,
    entries: Vec<Entry>,
    weight: usize,
    file: Rc<File>,
    length: u64,
    /// Where each run begins and ends.
    runs: Vec<(u64, u64)>,
}

impl Sorter {
    pub(crate) fn new() -> Result<Self, CliError> {
        Self::with_room(ROOM)
    }

    fn with_room(room: usize) -> Result<Self, CliError> {
        Ok(Self {
            room,
            entries: Vec::new(),
            weight: 0,
            file: Rc::new(tempfile::tempfile().map_err(failed)?),
            length: 0,
            runs: Vec::new(),
        })
    }

    pub(crate) fn push(&mut self, entry: Entry) -> Result<(), CliError> {
        self.weight += entry.weight();
        self.entries.push(entry);
        if self.weight >= self.room {
            self.spill().map_err(failed)?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.entries.sort_unstable();
        let begin = self.length;
        let mut piece = Vec::with_capacity(PIECE);
        for entry in self.entries.drain(..) {
            let before = piece.len();
            piece.extend_from_slice(&[0; 4]);
            entry.encode(&mut piece);
            let length = u32::try_from(piece.len() - before - 4).map_err(io::Error::other)?;
            if let Some(place) = piece.get_mut(before..before + 4) {
                place.copy_from_slice(&length.to_be_bytes());
            }
            if piece.len() >= PIECE {
                self.file.as_ref().write_all(&piece)?;
                self.length += piece.len() as u64;
                piece.clear();
            }
        }
        self.file.as_ref().write_all(&piece)?;
        self.length += piece.len() as u64;
        self.weight = 0;
        self.runs.push((begin, self.length));
        Ok(())
    }

    /// All of them, sorted. More may be taken afterwards.
    pub(crate) fn sorted(&mut self) -> Result<Merged, CliError> {
        self.spill().map_err(failed)?;
        let runs = self.runs.iter().map(|(begin, end)| Run {
            file: Rc::clone(&self.file),
            at: *begin,
            end: *end,
            piece: Vec::new(),
            used: 0,
        });
        let mut merged = Merged {
            runs: runs.collect(),
            next: BinaryHeap::new(),
        };
        for place in 0..merged.runs.len() {
            merged.refill(place)?;
        }
        Ok(merged)
    }
}

fn failed(error: io::Error) -> CliError {
    CliError::File {
        action: "write to a temporary file in",
        path: std::env::temp_dir(),
        source: error,
    }
}

/// One run under reading.
struct Run {
    file: Rc<File>,
    at: u64,
    end: u64,
    piece: Vec<u8>,
    used: usize,
}

impl Run {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        if self.used == self.piece.len() && self.at == self.end {
            return Ok(None);
        }
        let length = self.take(4)?;
        let length = length.first_chunk::<4>().copied().unwrap_or_default();
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
        if length > MOST {
            return Err(broken());
        }
        let bytes = self.take(length)?;
        match Entry::decode(bytes) {
            Some((entry, [])) => Ok(Some(entry)),
            _ => Err(broken()),
        }
    }

    /// The next so many bytes.
    fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.piece.len() - self.used < count {
            self.piece.drain(..self.used);
            self.used = 0;
            let have = self.piece.len();
            let left = usize::try_from(self.end - self.at).map_err(io::Error::other)?;
            let more = left.min(PIECE.max(count - have));
            if have + more < count {
                return Err(broken());
            }
            self.piece.resize(have + more, 0);
            if let Some(place) = self.piece.get_mut(have..) {
                self.file.read_exact_at(place, self.at)?;
            }
            self.at += more as u64;
        }
        let taken = self.used..self.used + count;
        self.used += count;
        self.piece.get(taken).ok_or_else(broken)
    }
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "what was written to the temporary file is not there any more",
    )
}

/// The entries of all runs, the least first.
pub(crate) struct Merged {
    runs: Vec<Run>,
    next: BinaryHeap<Reverse<(Entry, usize)>>,
}

impl Merged {
    fn refill(&mut self, place: usize) -> Result<(), CliError> {
        if let Some(run) = self.runs.get_mut(place)
            && let Some(entry) = run.next().map_err(failed)?
        {
            self.next.push(Reverse((entry, place)));
        }
        Ok(())
    }

    /// The next entry; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, CliError> {
        let Some(Reverse((entry, place))) = self.next.pop() else {
            return Ok(None);
        };
        self.refill(place)?;
        Ok(Some(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        // In an order of its own, with short names and long ones.
        let name = format!(
            "user{}{}",
            number * 7919 % 1009,
            "x".repeat((number % 50) as usize)
        );
        Entry {
            key: name.clone(),
            name,
            id: (!number.is_multiple_of(3)).then(|| number.to_string()),
            line: number,
            enabled: [None, Some(true), Some(false)][(number % 3) as usize],
            number: number as u32 % 7,
            whole: number.is_multiple_of(5).then_some([number as u8; 16]),
            digests: (0..number % 5)
                .map(|one| (one as u16, [number as u8; 16]))
                .collect(),
        }
    }

    #[test]
    fn entries_come_out_sorted_whether_they_fit_into_memory_or_not() {
        let mut expected: Vec<_> = (0..5000).map(entry).collect();
        expected.sort();
        for room in [1, 1000, 30_000, ROOM] {
            let mut sorter = Sorter::with_room(room).unwrap();
            for number in 0..5000 {
                sorter.push(entry(number)).unwrap();
            }
            assert_eq!(sorter.runs.is_empty(), room == ROOM);
            let mut all = || {
                let mut sorted = sorter.sorted().unwrap();
                std::iter::from_fn(|| sorted.next().unwrap()).collect::<Vec<_>>()
            };
            assert_eq!(all(), expected, "{room}");
            assert_eq!(all(), expected, "{room}, once more");
        }
    }
}
