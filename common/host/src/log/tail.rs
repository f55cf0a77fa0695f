//! The last lines of the log, kept in memory for who asks for them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use crate::clock;

/// Lines that are kept.
pub const MAX_LINES: usize = 1000;
/// Bytes of all of them.
const MAX_BYTES: usize = 256 * 1024;
/// Bytes of a line; of a longer one its beginning is kept.
const MAX_LINE: usize = 1000;
/// What stands at the end of a line that was longer.
const CUT: &str = "…";

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was logged, in nanoseconds since 1970.
    pub at_unix_ns: u64,
    /// What it says, without control characters.
    pub text: String,
}

/// The last lines.
#[derive(Debug)]
pub(super) struct Tail(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    lines: VecDeque<(u64, Box<str>)>,
    bytes: usize,
}

impl Tail {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Lines {
            lines: VecDeque::new(),
            bytes: 0,
        }))
    }

    fn push(&self, at_unix_ns: u64, line: &[u8]) {
        let line = bounded(line);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes += line.len();
        held.lines.push_back((at_unix_ns, line));
        while held.bytes > MAX_BYTES || held.lines.len() > MAX_LINES {
            let Some((_, oldest)) = held.lines.pop_front() else {
                return;
            };
            held.bytes -= oldest.len();
        }
    }

    /// The last of them, oldest first: `most` at the most, of `bytes` together at the most.
    pub(super) fn last(&self, most: usize, bytes: usize) -> Vec<Line> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = bytes;
        let mut last: Vec<Line> = held
            .lines
            .iter()
            .rev()
            .take(most)
            .map_while(|(at_unix_ns, line)| {
                left = left.checked_sub(line.len())?;
                Some(Line {
                    at_unix_ns: *at_unix_ns,
                    text: String::from(&**line),
                })
            })
            .collect();
        last.reverse();
        last
    }
}

/// One line without control characters, of a bounded length.
fn bounded(line: &[u8]) -> Box<str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let cut = line.len() > MAX_LINE;
    let kept = line.get(..MAX_LINE - CUT.len()).filter(|_| cut);
    let text = String::from_utf8_lossy(kept.unwrap_or(line));
    // The cut may be within a letter.
    let text = text.trim_end_matches(|letter| cut && letter == char::REPLACEMENT_CHARACTER);
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut text: String = text.chars().map(printable).collect();
    if cut {
        text.push_str(CUT);
    }
    text.into_boxed_str()
}

/// Writes lines on, and has them kept.
#[derive(Debug)]
pub(super) struct Kept<W> {
    pub(super) writer: W,
    pub(super) tail: &'static Tail,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Kept<W> {
    type Writer = Kept<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Kept {
            writer: self.writer.make_writer(),
            tail: self.tail,
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        Kept {
            writer: self.writer.make_writer_for(meta),
            tail: self.tail,
        }
    }
}

impl<W: Write> Write for Kept<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// By this each line comes, whole.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.tail.push(clock::now_ns(), line);
        self.writer.write_all(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(tail: &Tail, most: usize, bytes: usize) -> Vec<String> {
        let lines = tail.last(most, bytes).into_iter();
        lines.map(|line| line.text).collect()
    }

    #[test]
    fn the_last_lines_are_kept_within_their_bounds() {
        let tail = Tail::new();
        for number in 0..MAX_LINES + 5 {
            tail.push(number as u64, format!("line {number}\n").as_bytes());
        }
        assert_eq!(last(&tail, 2, 1000), ["line 1003", "line 1004"]);
        assert_eq!(last(&tail, usize::MAX, 18), ["line 1003", "line 1004"]);
        assert_eq!(last(&tail, usize::MAX, 17), ["line 1004"]);
        assert_eq!(last(&tail, 0, 1000), Vec::<String>::new());
        assert_eq!(tail.last(1, 1000)[0].at_unix_ns, 1004);
        let all = last(&tail, usize::MAX, usize::MAX);
        assert_eq!((all.len(), &*all[0]), (MAX_LINES, "line 5"));
        let long = "ü".repeat(MAX_LINE);
        for _ in 0..MAX_LINES {
            tail.push(0, long.as_bytes());
        }
        let all = last(&tail, usize::MAX, usize::MAX);
        assert!(all.iter().map(String::len).sum::<usize>() <= MAX_BYTES);
        assert!(
            all[0].len() <= MAX_LINE && all[0].ends_with("ü…"),
            "{all:?}"
        );
    }

    #[test]
    fn a_line_has_no_control_characters() {
        let tail = Tail::new();
        tail.push(0, b"one\ntwo\x1b[31m \xff\n");
        assert_eq!(last(&tail, 9, 99), ["one two [31m \u{fffd}"]);
    }
}
