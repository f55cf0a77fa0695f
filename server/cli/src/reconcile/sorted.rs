//! Sorts more entries than there is memory for: in runs, which lie one after the other in a file
//! without a name and are merged as they are read.
//!
//! Entries are kept as bytes. Where one run goes on where the one before it ended, as in a file
//! that is sorted already, the two are one.

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::entry::{key, order};
use crate::error::CliError;

/// Bytes of entries that are sorted in memory.
const ROOM: usize = 8 << 20;

/// Bytes that are read of a run at a time. An entry is far shorter.
const PIECE: usize = 64 << 10;

/// Bytes of an entry at the most: what is longer was not written here.
const MOST: usize = 16 << 20;

/// Takes entries in any order.
pub(crate) struct Sorter {
    room: usize,
    /// Each behind its length, 4 bytes.
    entries: Vec<u8>,
    order: Vec<Place>,
    file: Arc<File>,
    length: u64,
    /// Where each run begins and ends.
    runs: Vec<Range<u64>>,
    /// The last entry of the last run.
    last: Vec<u8>,
}

/// Where in memory an entry is.
#[derive(Clone, Copy)]
struct Place {
    /// The first bytes of its key, which mostly decide.
    first: u64,
    begin: u32,
    length: u32,
}

impl Place {
    fn within(self, entries: &[u8]) -> &[u8] {
        let begin = usize::try_from(self.begin).unwrap_or(usize::MAX);
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let from = entries.get(begin..).unwrap_or_default();
        from.get(..length).unwrap_or_default()
    }
}

impl Sorter {
    pub(crate) fn new() -> Result<Self, CliError> {
        Self::with_room(ROOM)
    }

    fn with_room(room: usize) -> Result<Self, CliError> {
        Ok(Self {
            room,
            entries: Vec::new(),
            order: Vec::new(),
            file: Arc::new(tempfile::tempfile().map_err(failed)?),
            length: 0,
            runs: Vec::new(),
            last: Vec::new(),
        })
    }

    /// Takes an entry.
    pub(crate) fn push(&mut self, entry: &[u8]) -> Result<(), CliError> {
        if entry.len() > MOST {
            return Err(CliError::BadAnswer("an object with an endless name or id"));
        }
        let begin = u32::try_from(self.entries.len() + 4);
        let length = u32::try_from(entry.len());
        let (Ok(begin), Ok(length)) = (begin, length) else {
            return Err(failed(broken()));
        };
        self.entries.extend_from_slice(&length.to_be_bytes());
        self.entries.extend_from_slice(entry);
        self.order.push(Place {
            first: first(key(entry)),
            begin,
            length,
        });
        if self.entries.len() + self.order.len() * size_of::<Place>() >= self.room {
            self.spill().map_err(failed)?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let entries = self.entries.as_slice();
        self.order.sort_unstable_by(|one, other| {
            let content = || order(one.within(entries), other.within(entries));
            one.first.cmp(&other.first).then_with(content)
        });
        let (Some(first), Some(last)) = (self.order.first(), self.order.last()) else {
            return Ok(());
        };
        let begin = self.length;
        let goes_on = order(&self.last, first.within(entries)).is_le();
        self.last.clear();
        self.last.extend_from_slice(last.within(entries));
        let mut piece = Vec::with_capacity(PIECE);
        for place in self.order.drain(..) {
            piece.extend_from_slice(&place.length.to_be_bytes());
            piece.extend_from_slice(place.within(entries));
            if piece.len() >= PIECE {
                self.file.as_ref().write_all(&piece)?;
                self.length += piece.len() as u64;
                piece.clear();
            }
        }
        self.file.as_ref().write_all(&piece)?;
        self.length += piece.len() as u64;
        self.entries.clear();
        match self.runs.last_mut() {
            Some(run) if goes_on => run.end = self.length,
            _ => self.runs.push(begin..self.length),
        }
        Ok(())
    }

    /// All of them, sorted. More may be taken afterwards.
    pub(crate) fn sorted(&mut self) -> Result<Merged, CliError> {
        self.spill().map_err(failed)?;
        // What comes now is little, or nothing.
        self.entries = Vec::new();
        self.order = Vec::new();
        let mut runs = Vec::with_capacity(self.runs.len());
        for range in &self.runs {
            let mut run = Run::new(Arc::clone(&self.file), range.clone());
            if run.advance().map_err(failed)? {
                runs.push(run);
            }
        }
        Ok(Merged::of(runs))
    }
}

fn first(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(key) {
        *to = *from;
    }
    u64::from_be_bytes(first)
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
    file: Arc<File>,
    /// What was not read yet.
    left: Range<u64>,
    piece: Vec<u8>,
    /// The entry in it that is the next one.
    entry: Range<usize>,
}

impl Run {
    fn new(file: Arc<File>, left: Range<u64>) -> Self {
        Self {
            file,
            left,
            piece: Vec::new(),
            entry: 0..0,
        }
    }

    fn entry(&self) -> &[u8] {
        self.piece.get(self.entry.clone()).unwrap_or_default()
    }

    /// Goes on to the next entry; answers whether there is one.
    fn advance(&mut self) -> io::Result<bool> {
        if self.entry.end == self.piece.len() && self.left.is_empty() {
            return Ok(false);
        }
        self.fill(4)?;
        let length = self.piece.get(self.entry.end..);
        let length = length.and_then(<[u8]>::first_chunk::<4>);
        let length = length.copied().ok_or_else(broken)?;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
        if length > MOST {
            return Err(broken());
        }
        self.fill(4 + length)?;
        let begin = self.entry.end + 4;
        self.entry = begin..begin + length;
        Ok(true)
    }

    /// Has so many bytes after the present entry in memory, which then may be gone.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        if self.piece.len() - self.entry.end >= count {
            return Ok(());
        }
        self.piece.drain(..self.entry.end);
        self.entry = 0..0;
        let have = self.piece.len();
        let left = usize::try_from(self.left.end - self.left.start).map_err(io::Error::other)?;
        let more = left.min(PIECE.max(count - have));
        if have + more < count {
            return Err(broken());
        }
        self.piece.resize(have + more, 0);
        if let Some(place) = self.piece.get_mut(have..) {
            self.file.read_exact_at(place, self.left.start)?;
        }
        self.left.start += more as u64;
        Ok(())
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
    /// A heap: none is before the one at half its place.
    runs: Vec<Run>,
}

impl Merged {
    fn of(runs: Vec<Run>) -> Self {
        let mut merged = Self { runs };
        for place in (0..merged.runs.len() / 2).rev() {
            merged.sink(place);
        }
        merged
    }

    /// The next entry; `None` after the last.
    pub(crate) fn entry(&self) -> Option<&[u8]> {
        self.runs.first().map(Run::entry)
    }

    /// Goes on to the one after it.
    pub(crate) fn advance(&mut self) -> Result<(), CliError> {
        if let Some(run) = self.runs.first_mut() {
            if !run.advance().map_err(failed)? {
                self.runs.swap_remove(0);
            }
            self.sink(0);
        }
        Ok(())
    }

    /// Puts the run at this place where it belongs, among those below it.
    fn sink(&mut self, mut place: usize) {
        loop {
            let before = |one: usize, other: usize| match (self.runs.get(one), self.runs.get(other))
            {
                (Some(one), Some(other)) => order(one.entry(), other.entry()).is_lt(),
                _ => false,
            };
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let least = if before(right, left) { right } else { left };
            if !before(least, place) {
                return;
            }
            self.runs.swap(least, place);
            place = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entry;
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
            place: None,
            enabled: [None, Some(true), Some(false)][(number % 3) as usize],
            number: number as u32 % 7,
            whole: number.is_multiple_of(5).then_some([number as u8; 16]),
            digests: (0..number % 5)
                .map(|one| (one as u16, [number as u8; 16]))
                .collect(),
        }
    }

    fn all(sorter: &mut Sorter) -> Vec<Entry> {
        let mut sorted = sorter.sorted().unwrap();
        let mut all = Vec::new();
        while let Some(entry) = sorted.entry() {
            all.push(Entry::decode(entry).unwrap());
            sorted.advance().unwrap();
        }
        all
    }

    fn push(sorter: &mut Sorter, entry: &Entry) {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        sorter.push(&bytes).unwrap();
    }

    #[test]
    fn entries_come_out_sorted_whether_they_fit_into_memory_or_not() {
        let mut expected: Vec<_> = (0..5000).map(entry).collect();
        expected.sort();
        for room in [1, 1000, 30_000, ROOM] {
            let mut sorter = Sorter::with_room(room).unwrap();
            for number in 0..5000 {
                push(&mut sorter, &entry(number));
            }
            assert_eq!(sorter.runs.is_empty(), room == ROOM);
            let first = all(&mut sorter);
            assert!(first.is_sorted_by(|one, other| one.key <= other.key));
            assert_eq!(all(&mut sorter), first, "{room}, once more");
            let mut found = first;
            found.sort();
            assert_eq!(found, expected, "{room}");
        }
    }

    #[test]
    fn what_is_sorted_already_is_one_run_until_it_is_not() {
        let mut expected: Vec<_> = (0..5000).map(entry).collect();
        expected.sort_by(|one, other| one.key.cmp(&other.key));
        let mut sorter = Sorter::with_room(30_000).unwrap();
        expected.iter().for_each(|entry| push(&mut sorter, entry));
        assert_eq!(all(&mut sorter).len(), 5000);
        assert_eq!(sorter.runs.len(), 1);
        push(&mut sorter, &entry(0));
        assert_eq!(all(&mut sorter).len(), 5001);
        assert_eq!(sorter.runs.len(), 2);
    }
}
