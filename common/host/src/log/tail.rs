//! The last lines of the log, kept in memory for who asks for them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that are kept.
pub const MAX_LINES: usize = 1000;
/// Bytes of all of them.
const MAX_BYTES: usize = 256 * 1024;
/// Bytes of a line; of a longer one its beginning is kept.
const MAX_LINE: usize = 1000;
/// What stands at the end of a line that was longer.
const CUT: &str = "…";

/// The last lines.
#[derive(Debug)]
pub(super) struct Tail(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    lines: VecDeque<Box<str>>,
    bytes: usize,
}

impl Tail {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Lines {
            lines: VecDeque::new(),
            bytes: 0,
        }))
    }

    fn push(&self, line: &[u8]) {
        let line = bounded(line);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes += line.len();
        held.lines.push_back(line);
        while held.bytes > MAX_BYTES || held.lines.len() > MAX_LINES {
            let Some(oldest) = held.lines.pop_front() else {
                return;
            };
            held.bytes -= oldest.len();
        }
    }

    /// The last of them, oldest first: `most` at the most, of `bytes` together at the most.
    pub(super) fn last(&self, most: usize, bytes: usize) -> Vec<String> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = bytes;
        let mut last: Vec<String> = held
            .lines
            .iter()
            .rev()
            .take(most)
            .map_while(|line| {
                left = left.checked_sub(line.len())?;
                Some(String::from(&**line))
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
        self.tail.push(line);
        self.writer.write_all(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_within_their_bounds() {
        let tail = Tail::new();
        for number in 0..MAX_LINES + 5 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        assert_eq!(tail.last(2, 1000), ["line 1003", "line 1004"]);
        assert_eq!(tail.last(usize::MAX, 18), ["line 1003", "line 1004"]);
        assert_eq!(tail.last(usize::MAX, 17), ["line 1004"]);
        assert_eq!(tail.last(0, 1000), Vec::<String>::new());
        let all = tail.last(usize::MAX, usize::MAX);
        assert_eq!((all.len(), &*all[0]), (MAX_LINES, "line 5"));
        let long = "ü".repeat(MAX_LINE);
        for _ in 0..MAX_LINES {
            tail.push(long.as_bytes());
        }
        let all = tail.last(usize::MAX, usize::MAX);
        assert!(all.iter().map(String::len).sum::<usize>() <= MAX_BYTES);
        assert!(
            all[0].len() <= MAX_LINE && all[0].ends_with("ü…"),
            "{all:?}"
        );
    }

    #[test]
    fn a_line_has_no_control_characters() {
        let tail = Tail::new();
        tail.push(b"one\ntwo\x1b[31m \xff\n");
        assert_eq!(tail.last(9, 99), ["one two [31m \u{fffd}"]);
    }
}
