//! The reader of text from outside: files, standard input, secrets, word lists, what a script
//! prints.
//!
//! One set of rules for all of them:
//!
//! * Text is UTF-8. A byte order mark at its beginning does not belong to it. UTF-16, as some
//!   programs of Windows write it, is refused by name.
//! * A byte that is not UTF-8, and a NUL, are refused with line and byte. Nothing is replaced.
//! * A line ends with LF or CR LF.
//! * A secret is one line. Exactly one line end after it does not belong to it; blanks do.
//! * Nothing is read beyond the limit that the caller names.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// The byte order mark of UTF-8 (RFC 3629, section 6).
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Room for a first read, in bytes: what most texts fit in without moving.
const FIRST: usize = 8 * 1024;

/// Why bytes are no text, or no secret. Never repeats what was read.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is more of it than is taken.
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
    /// UTF-16 or UTF-32.
    #[error("it is UTF-16 text, as some programs of Windows write it: save it as UTF-8")]
    Utf16,
    /// Another encoding.
    #[error("{0} is not UTF-8: save the text in that encoding")]
    Encoding(Place),
    /// No text has one.
    #[error("{0} is a NUL, which no text has")]
    Nul(Place),
    /// A secret that is none.
    #[error("it is empty")]
    Empty,
    /// Which of the lines is the secret?
    #[error("it has more than one line: give one line, with nothing after it")]
    Lines,
}

/// A byte of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its line, from 1.
    pub line: u64,
    /// Which byte of that line it is, from 1.
    pub byte: u64,
}

impl Place {
    fn of(text: &[u8], offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.iter().rposition(|byte| *byte == b'\n');
        let ends = before.iter().filter(|byte| **byte == b'\n').count();
        Self {
            line: ends as u64 + 1,
            byte: (offset - line_start.map_or(0, |at| at + 1)) as u64 + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} of line {}", self.byte, self.line)
    }
}

/// All of a text, of at most `limit` bytes.
///
/// # Errors
/// [`TextError`].
pub fn read(source: impl Read, limit: u64) -> Result<Zeroizing<String>, TextError> {
    into_text(read_bytes(source, limit)?)
}

/// All of a file, of at most `limit` bytes.
///
/// # Errors
/// [`TextError`].
pub fn read_file(path: &Path, limit: u64) -> Result<Zeroizing<String>, TextError> {
    into_text(read_file_bytes(path, limit)?)
}

/// All bytes of a text whose lines are looked at one by one ([`decode`]): the mark is taken away
/// and UTF-16 is refused here already.
///
/// # Errors
/// [`TextError::Io`], [`TextError::TooLong`], [`TextError::Utf16`].
pub fn read_bytes(source: impl Read, limit: u64) -> Result<Zeroizing<Vec<u8>>, TextError> {
    read_sized(source, FIRST, limit)
}

/// The same, of a file.
///
/// # Errors
/// As [`read_bytes`].
pub fn read_file_bytes(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, TextError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > limit + MARK.len() as u64 {
        return Err(TextError::TooLong(limit));
    }
    // Room for all of it at once: a buffer that grows leaves copies of secrets behind.
    let room = usize::try_from(length).map_or(FIRST, |length| length.max(FIRST));
    read_sized(file, room, limit)
}

/// The one line of a secret, without its end.
///
/// # Errors
/// [`TextError`].
pub fn read_secret(source: impl Read, limit: u64) -> Result<Zeroizing<String>, TextError> {
    // Room for all of it at once; two bytes more, for the end of its line, do not count.
    let room = usize::try_from(limit).map_or(FIRST, |limit| limit.min(64 * 1024) + 8);
    let text = into_text(read_sized(source, room, limit + 2)?)?;
    let line = one_line(text)?;
    if line.len() as u64 > limit {
        return Err(TextError::TooLong(limit));
    }
    Ok(line)
}

/// The same, of a file.
///
/// # Errors
/// [`TextError`].
pub fn read_secret_file(path: &Path, limit: u64) -> Result<Zeroizing<String>, TextError> {
    read_secret(File::open(path)?, limit)
}

/// The one line of a secret that was read already, without its end.
///
/// # Errors
/// [`TextError::Empty`], [`TextError::Lines`].
pub fn one_line(mut text: Zeroizing<String>) -> Result<Zeroizing<String>, TextError> {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.contains(['\n', '\r']) {
        return Err(TextError::Lines);
    }
    Ok(text)
}

/// Bytes that are in memory already, as text.
///
/// # Errors
/// [`TextError::Utf16`], [`TextError::Encoding`], [`TextError::Nul`].
pub fn decode(bytes: &[u8]) -> Result<&str, TextError> {
    refuse_utf16(bytes)?;
    let bytes = without_marks(bytes);
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(TextError::Nul(Place::of(bytes, offset)));
    }
    std::str::from_utf8(bytes)
        .map_err(|error| TextError::Encoding(Place::of(bytes, error.valid_up_to())))
}

/// The lines of a text with their numbers, from 1, and without their ends.
pub fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines())
}

/// The lines of a text that is too long to be held whole, each with its number, from 1, and without
/// its end.
#[derive(Debug)]
pub struct LineReader<R> {
    source: R,
    line: u64,
    limit: u64,
}

impl<R: BufRead> LineReader<R> {
    /// No line may be longer than `limit` bytes.
    pub fn new(source: R, limit: u64) -> Self {
        Self {
            source,
            line: 0,
            limit,
        }
    }

    fn read(&mut self) -> Result<Option<String>, TextError> {
        let mut bytes = Vec::new();
        let mut bounded = self.source.by_ref().take(self.limit + 3);
        if bounded.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        let end = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = end.strip_suffix(b"\r").unwrap_or(end);
        if line.len() as u64 > self.limit {
            return Err(TextError::TooLong(self.limit));
        }
        let number = self.line;
        let placed = |place: Place| Place {
            line: number,
            ..place
        };
        let text = match number {
            1 => decode(line),
            // Only what stands at the beginning is a mark.
            _ if line.starts_with(MARK) => std::str::from_utf8(line)
                .map_err(|error| TextError::Encoding(Place::of(line, error.valid_up_to()))),
            _ => decode(line),
        };
        match text {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(TextError::Encoding(place)) => Err(TextError::Encoding(placed(place))),
            Err(TextError::Nul(place)) => Err(TextError::Nul(placed(place))),
            Err(error) => Err(error),
        }
    }
}

impl<R: BufRead> Iterator for LineReader<R> {
    type Item = Result<(u64, String), TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.read().transpose()?;
        Some(line.map(|line| (self.line, line)))
    }
}

/// The text with every control character written out, so that what comes from outside cannot steer
/// a terminal. Line breaks and tabs become spaces.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() || is_direction_mark(c) => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Characters that reorder what is shown: a name must look like what it is.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn read_sized(source: impl Read, room: usize, limit: u64) -> Result<Zeroizing<Vec<u8>>, TextError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    // The mark does not count, and one byte more tells that there is too much.
    let most = limit + MARK.len() as u64 + 1;
    source.take(most).read_to_end(&mut bytes)?;
    refuse_utf16(&bytes)?;
    // Programs that add a mark to a text which has one leave two.
    let marks = bytes.len() - without_marks(&bytes).len();
    bytes.drain(..marks);
    if bytes.len() as u64 > limit {
        return Err(TextError::TooLong(limit));
    }
    Ok(bytes)
}

fn without_marks(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(MARK) {
        bytes = rest;
    }
    bytes
}

/// The marks of UTF-16 and UTF-32, or what their Latin letters look like without a mark: every
/// second byte is zero.
fn refuse_utf16(bytes: &[u8]) -> Result<(), TextError> {
    let marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let wide = match bytes {
        [0, low, rest @ ..] if *low != 0 => rest.len() % 2 == 0 && rest.first() == Some(&0),
        [low, 0, rest @ ..] if *low != 0 => rest.len() % 2 == 0 && rest.get(1) == Some(&0),
        _ => false,
    };
    if marked || wide {
        return Err(TextError::Utf16);
    }
    Ok(())
}

fn into_text(mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, TextError> {
    decode(&bytes)?;
    // Moved, not copied; that it is UTF-8 was made sure of.
    String::from_utf8(std::mem::take(&mut *bytes))
        .map(Zeroizing::new)
        .map_err(|_| TextError::Encoding(Place { line: 1, byte: 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(bytes: &[u8]) -> Result<String, String> {
        read_secret(bytes, 16)
            .map(|line| line.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_its_line_whatever_program_wrote_the_file() {
        for (written, expected) in [
            (&b"hunter2"[..], "hunter2"),
            (b"hunter2\n", "hunter2"),
            (b"hunter2\r\n", "hunter2"),
            (b"\xef\xbb\xbfhunter2\r\n", "hunter2"),
            (b" two words ", " two words "),
            (b"ends in a tab\t\n", "ends in a tab\t"),
            ("pässwörd\n".as_bytes(), "pässwörd"),
            (b"0123456789abcdef\r\n", "0123456789abcdef"),
            (b"\xef\xbb\xbf0123456789abcdef\r\n", "0123456789abcdef"),
            // A mark that is not at the beginning is a character like others.
            ("a\u{feff}b".as_bytes(), "a\u{feff}b"),
        ] {
            assert_eq!(secret(written).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_by_name_and_not_repeated() {
        for (written, hint) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"\xef\xbb\xbf\r\n", "empty"),
            (b"hunter2\nhunter3\n", "more than one line"),
            (b"hunter2\n\n", "more than one line"),
            (b"hunter2\rhunter3", "more than one line"),
            (b"hunter2\r\r\n", "more than one line"),
            (b"hunter\x002", "byte 7 of line 1 is a NUL"),
            (b"hunter\xe42", "byte 7 of line 1 is not UTF-8"),
            (b"0123456789abcdefg", "longer than 16 bytes"),
            (&[b'h'; 500], "longer than"),
            (b"\xff\xfeh\0u\0", "UTF-16"),
            (b"\xfe\xff\0h\0u", "UTF-16"),
            (b"h\0u\0n\0t\0", "UTF-16"),
            (b"\0h\0u\0n\0t", "UTF-16"),
        ] {
            let error = secret(written).unwrap_err();
            assert!(error.contains(hint), "{written:?}: {error}");
            assert!(!error.contains("hunter"), "{error}");
        }
    }

    #[test]
    fn what_is_no_text_is_named_with_its_line_and_byte() {
        for (bytes, expected) in [
            (
                &b"one\r\ntw\xffo"[..],
                "byte 3 of line 2 is not UTF-8: save the text in that encoding",
            ),
            (
                b"\xef\xbb\xbfa\n\xe4",
                "byte 1 of line 2 is not UTF-8: save the text in that encoding",
            ),
            (b"a\nb\n\0", "byte 1 of line 3 is a NUL, which no text has"),
        ] {
            assert_eq!(decode(bytes).unwrap_err().to_string(), expected);
            assert_eq!(read(bytes, 99).unwrap_err().to_string(), expected);
        }
        assert_eq!(decode(b"\xef\xbb\xbfa").unwrap(), "a");
        let text = decode(b"\xef\xbb\xbfa\r\nb\n").unwrap();
        assert_eq!(lines(text).collect::<Vec<_>>(), [(1, "a"), (2, "b")]);
    }

    #[test]
    fn lines_are_read_one_by_one_by_the_same_rules() {
        let read = |bytes: &[u8]| {
            LineReader::new(bytes, 8)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            read(b"\xef\xbb\xbfone\r\n\r\nthree").unwrap(),
            [
                (1, "one".to_owned()),
                (2, String::new()),
                (3, "three".to_owned())
            ]
        );
        for (bytes, hint) in [
            (&b"one\nt\xffo"[..], "byte 2 of line 2 is not UTF-8"),
            (b"one\n\0", "byte 1 of line 2 is a NUL"),
            (b"one\n123456789\n", "longer than 8 bytes"),
            (b"\xff\xfeo\0", "UTF-16"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("words");
        std::fs::write(&file, "\u{feff}tiger\r\nlion\r\n").unwrap();
        assert_eq!(*read_file(&file, 13).unwrap(), "tiger\r\nlion\r\n");
        assert!(matches!(read_file(&file, 12), Err(TextError::TooLong(12))));
        // A source without a length is bounded too.
        let endless = io::repeat(b'a');
        assert!(matches!(read(endless, 100), Err(TextError::TooLong(100))));
    }

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(
            printable("a\x1b[2Jb\u{9b}c\nd\u{202e}e"),
            "a\\u{1b}[2Jb\\u{9b}c d\\u{202e}e"
        );
        assert_eq!(printable("Zoë 東京"), "Zoë 東京");
    }
}
