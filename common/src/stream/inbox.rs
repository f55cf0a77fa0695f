//! What came in: records not yet opened, and the plaintext of the one opened last.

use std::time::Duration;

use tokio::io::ReadBuf;
use zeroize::Zeroizing;

use super::SMALL_BUFFER;
use crate::record::{HEADER_LEN, MAX_RECORD, Opened, Opener, RecordError};

/// Bytes of the buffer of a link that rests: keep-alive pings fit.
const TINY_BUFFER: usize = 256;
/// Bytes that are read at once where it is not known yet what comes.
const READ_AT_ONCE: usize = 2 * MAX_RECORD;
/// Whatever record begins among the bytes read at once ends within the buffer, so that none of them
/// is ever moved.
const LARGE_BUFFER: usize = READ_AT_ONCE + MAX_RECORD;

/// Bytes of one receiving direction. Never holds more than [`LARGE_BUFFER`] bytes, nor plaintext of
/// more than one record.
pub(super) struct Inbox {
    opener: Opener,
    buffer: Zeroizing<Vec<u8>>,
    /// Plaintext that was not handed out yet: it lies before `start`.
    plaintext: std::ops::Range<usize>,
    /// Records not yet opened: `start..end`.
    start: usize,
    end: usize,
    /// All the room was used: more may be on its way than fits.
    is_short: bool,
    closed: bool,
    /// Bytes that were moved from one place to another.
    #[cfg(test)]
    moved: usize,
}

/// What [`Inbox::open_next`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is plaintext.
    Plaintext,
    /// The peer closed its direction.
    Closed,
    /// The rest of the next record has to arrive first.
    Starved,
}

impl Inbox {
    pub(super) fn new(opener: Opener) -> Self {
        Self {
            opener,
            buffer: Zeroizing::default(),
            plaintext: 0..0,
            start: 0,
            end: 0,
            is_short: false,
            closed: false,
            #[cfg(test)]
            moved: 0,
        }
    }

    /// Hands out plaintext, as much as there is and as fits, and wipes it here.
    pub(super) fn hand_out(&mut self, to: &mut ReadBuf<'_>) {
        let len = self.plaintext.len().min(to.remaining());
        let from = self.plaintext.start;
        let part = &mut self.buffer[from..from + len];
        to.put_slice(part);
        part.fill(0);
        self.plaintext.start += len;
    }

    /// Opens records up to the next that carries plaintext. Only once all plaintext was handed out.
    pub(super) fn open_next(&mut self) -> Result<Step, RecordError> {
        loop {
            if self.closed {
                return Ok(Step::Closed);
            }
            let Some(header) = self.buffer[self.start..self.end].first_chunk::<HEADER_LEN>() else {
                return Ok(Step::Starved);
            };
            let header = self.opener.header(*header)?;
            let body = self.start + HEADER_LEN;
            let next = body + header.body_len();
            if next > self.end {
                return Ok(Step::Starved);
            }
            match self.opener.open(header, &mut self.buffer[body..next])? {
                Opened::Data(text) => {
                    self.plaintext = body..body + text.len();
                    self.start = next;
                    return Ok(Step::Plaintext);
                }
                Opened::KeyUpdate => self.start = next,
                Opened::Close if next < self.end => return Err(RecordError::AfterClose),
                Opened::Close => {
                    self.start = next;
                    self.closed = true;
                }
            }
        }
    }

    /// Where to read more to: never empty. Only when [`Self::open_next`] is starved;
    /// [`Self::arrived`] then says how much came.
    pub(super) fn room(&mut self) -> Result<&mut [u8], RecordError> {
        let needed = match self.buffer[self.start..self.end].first_chunk() {
            Some(header) => HEADER_LEN + self.opener.header(*header)?.body_len(),
            None => HEADER_LEN,
        };
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let size = self.size_for(needed);
        if size > self.buffer.len() {
            self.move_to(size);
        }
        let until = if size == LARGE_BUFFER {
            READ_AT_ONCE.max(self.start + needed)
        } else {
            size
        };
        Ok(&mut self.buffer[self.end..until])
    }

    /// `len` bytes came.
    pub(super) fn arrived(&mut self, len: usize) {
        self.end += len;
        self.is_short = self.end == self.buffer.len();
    }

    /// See [`Opener::prepare`].
    pub(super) fn prepare(&mut self, now: Duration) {
        self.opener.prepare(now);
    }

    /// See [`Opener::rest`]. An empty buffer is given back, but for a few bytes.
    pub(super) fn rest(&mut self) {
        self.opener.rest();
        let is_empty = self.plaintext.is_empty() && self.start == self.end;
        if is_empty && self.buffer.len() > TINY_BUFFER {
            self.move_to(TINY_BUFFER);
        }
    }

    /// Erases keys and contents.
    pub(super) fn kill(&mut self) {
        self.opener.kill();
        self.buffer = Zeroizing::default();
        self.plaintext = 0..0;
        (self.start, self.end) = (0, 0);
    }

    /// Bytes of memory that the buffer takes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.buffer.capacity()
    }

    /// Bytes that the buffer needs for a record of `needed` bytes to be whole: no fewer than it
    /// has.
    fn size_for(&self, needed: usize) -> usize {
        let fits = self.start + needed <= self.buffer.len() && !self.is_short;
        match self.buffer.len() {
            len if fits || len == LARGE_BUFFER => len,
            0 if needed <= TINY_BUFFER => TINY_BUFFER,
            ..SMALL_BUFFER if needed <= SMALL_BUFFER => SMALL_BUFFER,
            _ => LARGE_BUFFER,
        }
    }

    fn move_to(&mut self, size: usize) {
        let mut buffer = Zeroizing::new(vec![0; size]);
        let waiting = &self.buffer[self.start..self.end];
        buffer[..waiting.len()].copy_from_slice(waiting);
        #[cfg(test)]
        {
            self.moved += waiting.len();
        }
        (self.start, self.end) = (0, waiting.len());
        self.plaintext = 0..0;
        self.buffer = buffer;
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::time::Duration;

    use rand::rngs::StdRng;
    use rand::{Rng, RngExt, SeedableRng};

    use super::*;
    use crate::crypto::suites::Suite;
    use crate::id::KeyKind;
    use crate::record::{RecordLimits, Sealer};
    use crate::secret::TrafficSecret;

    fn pair() -> (Sealer, Inbox) {
        let secret = TrafficSecret::from_bytes(&[1; 32]);
        let limits = RecordLimits::new(Duration::from_secs(600));
        let (kind, suite) = (KeyKind::Tdes, Suite::Aes256Gcm);
        let sealer = Sealer::new(secret.clone(), kind, suite, limits);
        (sealer, Inbox::new(Opener::new(secret, kind, suite, limits)))
    }

    fn seal(sealer: &mut Sealer, text: &[u8], wire: &mut Vec<u8>) {
        let taken = sealer.data(Duration::ZERO, &[IoSlice::new(text)], wire);
        assert_eq!(taken, Ok(text.len()));
    }

    /// Lets all of `wire` arrive, `most` bytes at a time, and reads what it holds.
    fn receive(inbox: &mut Inbox, mut wire: &[u8], most: &mut impl FnMut() -> usize) -> Vec<u8> {
        let mut text = Vec::new();
        loop {
            while inbox.open_next().unwrap() == Step::Plaintext {
                let mut buf = [0; 1_000];
                while !inbox.plaintext.is_empty() {
                    let mut buf = ReadBuf::new(&mut buf);
                    inbox.hand_out(&mut buf);
                    text.extend_from_slice(buf.filled());
                }
            }
            if wire.is_empty() {
                return text;
            }
            let room = inbox.room().unwrap();
            assert!(!room.is_empty());
            let len = room.len().min(wire.len()).min(most());
            room[..len].copy_from_slice(&wire[..len]);
            inbox.arrived(len);
            wire = &wire[len..];
            assert!(inbox.buffer.len() <= LARGE_BUFFER);
        }
    }

    #[test]
    fn records_of_any_size_arriving_in_any_pieces_never_need_more_than_the_large_buffer() {
        let seed = rand::rng().next_u64();
        println!("seed {seed}");
        let rng = &mut StdRng::seed_from_u64(seed);
        let (mut sealer, mut inbox) = pair();
        for _ in 0..200 {
            let (mut wire, mut sent) = (Vec::new(), Vec::new());
            for _ in 0..rng.random_range(1..6) {
                let mut text = vec![0; rng.random_range(1..=16_384)];
                rng.fill_bytes(&mut text);
                seal(&mut sealer, &text, &mut wire);
                sent.extend(text);
            }
            assert!(receive(&mut inbox, &wire, &mut || rng.random_range(1..40_000)) == sent);
        }
    }

    #[test]
    fn a_link_at_rest_keeps_a_few_bytes_and_loses_nothing() {
        let (mut sealer, mut inbox) = pair();
        for len in [16_384, 4, 10_000] {
            let mut wire = Vec::new();
            seal(&mut sealer, &vec![1; len], &mut wire);
            // Not in the middle of a record, nor of its text.
            let (first, rest) = wire.split_at(2);
            receive(&mut inbox, first, &mut || 100);
            inbox.rest();
            assert_eq!(receive(&mut inbox, rest, &mut || 100), vec![1; len]);
            inbox.rest();
            assert_eq!(inbox.buffer.len(), TINY_BUFFER);
        }
        let mut wire = Vec::new();
        seal(&mut sealer, b"text", &mut wire);
        let room = inbox.room().unwrap();
        room[..wire.len()].copy_from_slice(&wire);
        inbox.arrived(wire.len());
        assert_eq!(inbox.open_next(), Ok(Step::Plaintext));
        inbox.rest();
        let mut buf = [0; 8];
        let mut buf = ReadBuf::new(&mut buf);
        inbox.hand_out(&mut buf);
        assert_eq!(buf.filled(), b"text");
    }

    /// Whatever the records and the pieces they come in.
    #[test]
    fn no_byte_is_moved_once_the_buffer_is_large() {
        let seed = rand::rng().next_u64();
        println!("seed {seed}");
        let rng = &mut StdRng::seed_from_u64(seed);
        for longest in [40, 1_000, 16_384] {
            let (mut sealer, mut inbox) = pair();
            let mut wire = Vec::new();
            seal(&mut sealer, &[0; 16_384], &mut wire);
            receive(&mut inbox, &wire, &mut || usize::MAX);
            let before = inbox.moved;
            wire.clear();
            while wire.len() < 1_000_000 {
                let text = vec![0; rng.random_range(1..=longest)];
                seal(&mut sealer, &text, &mut wire);
            }
            receive(&mut inbox, &wire, &mut || rng.random_range(1..50_000));
            assert_eq!(inbox.moved, before);
        }
    }

    #[test]
    fn many_small_records_are_read_at_once() {
        let (mut sealer, mut inbox) = pair();
        let mut wire = Vec::new();
        for _ in 0..5_000 {
            seal(&mut sealer, &[0; 80], &mut wire);
        }
        let mut reads = 0;
        let len = wire.len();
        receive(&mut inbox, &wire, &mut || {
            reads += 1;
            usize::MAX
        });
        // Of two that follow one another, the second may only end the record that the first began.
        assert!(reads <= 4 + 2 * len.div_ceil(READ_AT_ONCE), "{reads} reads");
    }

    #[test]
    fn plaintext_that_was_handed_out_is_wiped() {
        let (mut sealer, mut inbox) = pair();
        let secret = b"correct horse battery staple";
        let mut wire = Vec::new();
        seal(&mut sealer, secret, &mut wire);
        assert_eq!(receive(&mut inbox, &wire, &mut || 1_000), secret);
        assert!(
            !inbox
                .buffer
                .windows(4)
                .any(|bytes| secret.windows(4).any(|s| s == bytes))
        );
    }
}
