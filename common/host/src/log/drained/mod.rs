//! Standard error as the log writes to it: where nobody reads that, lines are lost and counted, and
//! the program goes on.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

use std::io::{self, Stderr, Write};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

#[cfg(not(unix))]
use other::Room;
#[cfg(unix)]
use unix::Room;

/// Bytes that a pipe takes at once where it takes any (`PIPE_BUF` of Linux).
const PIECE: usize = 4096;
/// How long a line waits for its reader: one who reads at all takes far less.
const PATIENCE: Duration = Duration::from_millis(100);

static STANDARD_ERROR: LazyLock<Drained<Stderr>> = LazyLock::new(|| Drained::new(io::stderr()));

/// For the next line.
pub(super) fn standard_error() -> Line<'static, Stderr> {
    Line(&STANDARD_ERROR)
}

/// What lines are written to.
#[derive(Debug)]
pub(super) struct Drained<W>(Mutex<Out<W>>);

#[derive(Debug)]
struct Out<W> {
    writer: W,
    /// Lines that nobody read.
    lost: u64,
    /// The last one of these was begun.
    begun: bool,
}

impl<W> Drained<W> {
    const fn new(writer: W) -> Self {
        Self(Mutex::new(Out {
            writer,
            lost: 0,
            begun: false,
        }))
    }
}

impl<W: Room> Out<W> {
    fn take(&mut self, line: &[u8]) -> io::Result<()> {
        if self.lost > 0 {
            if !self.writer.has_room(Duration::ZERO) {
                self.lost += 1;
                return Ok(());
            }
            let note = self.note(line.starts_with(b"{"));
            self.writer.write_all(note.as_bytes())?;
            (self.lost, self.begun) = (0, false);
        }
        for (index, piece) in line.chunks(PIECE).enumerate() {
            if !self.writer.has_room(PATIENCE) {
                self.lost = 1;
                self.begun = index > 0;
                return Ok(());
            }
            self.writer.write_all(piece)?;
        }
        Ok(())
    }

    /// How many lines are missing, as the line looks that follows.
    fn note(&self, json: bool) -> String {
        let end = if self.begun { "\n" } else { "" };
        let text = format!(
            "nobody read the log for a time: lines lost here: {}",
            self.lost
        );
        if json {
            format!("{end}{{\"level\":\"WARN\",\"fields\":{{\"message\":\"{text}\"}}}}\n")
        } else {
            format!("{end}WARN {text}\n")
        }
    }
}

/// Takes one line.
#[derive(Debug)]
pub(super) struct Line<'a, W>(&'a Drained<W>);

impl<W: Room> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut out = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.take(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read as _, pipe};
    use std::thread;

    use super::*;

    #[test]
    fn lines_that_nobody_reads_are_counted_and_hold_nothing_up() {
        for long in [1, 20_000] {
            let (mut reader, writer) = pipe().unwrap();
            let drained = Drained::new(writer);
            let line = format!("{}\n", "x".repeat(long));
            let lost = || drained.0.lock().unwrap().lost;
            while lost() < 3 {
                Line(&drained).write_all(line.as_bytes()).unwrap();
            }
            let reading = thread::spawn(move || {
                let mut all = String::new();
                reader.read_to_string(&mut all).unwrap();
                all
            });
            // Once the reader has made room, the next line is preceded by what is missing.
            while lost() > 0 {
                Line(&drained).write_all(b"{\"here\":1}\n").unwrap();
            }
            Line(&drained).write_all(b"after\n").unwrap();
            drop(drained);
            let all = reading.join().unwrap();
            let told = |line: &&str| line.contains("\"message\":\"nobody read the log");
            assert_eq!(all.lines().filter(told).count(), 1, "{all}");
            assert!(all.ends_with("\"}}\n{\"here\":1}\nafter\n"), "{all}");
        }
    }
}
