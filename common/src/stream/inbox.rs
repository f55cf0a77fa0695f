//! What came in: records not yet opened, and the plaintext of the one opened last.

use tokio::io::ReadBuf;
use zeroize::Zeroizing;

use super::{PATIENCE, SMALL_BUFFER};
use crate::record::{HEADER_LEN, MAX_RECORD, Opened, Opener, RecordError};

/// Holds two whole records, so that the second can arrive while the first is opened.
const LARGE_BUFFER: usize = 2 * MAX_RECORD;

/// Bytes of one receiving direction. Never holds more than [`LARGE_BUFFER`] bytes, nor plaintext of more than one record.
pub(super) struct Inbox {
    opener: Opener,
    buffer: Zeroizing<Vec<u8>>,
    /// Plaintext that was not handed out yet: it lies before `start`.
    plaintext: std::ops::Range<usize>,
    /// Records not yet opened: `start..end`.
    start: usize,
    end: usize,
    /// Times in a row that the stream ran dry without a record that needs a large buffer.
    quiet: u32,
    closed: bool,
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
            quiet: 0,
            closed: false,
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

    /// Where to read more to: never empty. Only when [`Self::open_next`] is starved; [`Self::arrived`] then says how much came.
    pub(super) fn room(&mut self) -> Result<&mut [u8], RecordError> {
        let waiting = self.end - self.start;
        let needed = match self.buffer[self.start..self.end].first_chunk() {
            Some(header) => HEADER_LEN + self.opener.header(*header)?.body_len(),
            None => HEADER_LEN,
        };
        if needed > SMALL_BUFFER {
            self.quiet = 0;
        }
        if needed > self.buffer.len() {
            let len = if needed > SMALL_BUFFER {
                LARGE_BUFFER
            } else {
                SMALL_BUFFER
            };
            self.move_to(Zeroizing::new(vec![0; len]));
        } else if waiting == 0 {
            (self.start, self.end) = (0, 0);
        } else if self.start + needed > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, waiting);
        }
        Ok(&mut self.buffer[self.end..])
    }

    pub(super) fn arrived(&mut self, len: usize) {
        self.end += len;
    }

    /// Nothing more is there for now. A buffer that was not needed for long is given back.
    pub(super) fn ran_dry(&mut self) {
        if self.start < self.end || self.buffer.len() <= SMALL_BUFFER {
            return;
        }
        self.quiet += 1;
        if self.quiet >= PATIENCE {
            self.move_to(Zeroizing::new(vec![0; SMALL_BUFFER]));
            self.quiet = 0;
        }
    }

    /// Erases keys and contents.
    pub(super) fn kill(&mut self) {
        self.opener.kill();
        self.buffer = Zeroizing::default();
        self.plaintext = 0..0;
        (self.start, self.end) = (0, 0);
    }

    fn move_to(&mut self, mut buffer: Zeroizing<Vec<u8>>) {
        let waiting = &self.buffer[self.start..self.end];
        buffer[..waiting.len()].copy_from_slice(waiting);
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
                inbox.ran_dry();
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
    fn a_large_buffer_that_is_not_needed_is_given_back_and_loses_nothing() {
        let (mut sealer, mut inbox) = pair();
        let mut wire = Vec::new();
        seal(&mut sealer, &[1; 16_384], &mut wire);
        receive(&mut inbox, &wire, &mut || 100);
        assert_eq!(inbox.buffer.len(), LARGE_BUFFER);
        for _ in 0..PATIENCE {
            wire.clear();
            seal(&mut sealer, b"ping", &mut wire);
            assert_eq!(receive(&mut inbox, &wire, &mut || 100), b"ping");
        }
        assert_eq!(inbox.buffer.len(), SMALL_BUFFER);
        wire.clear();
        seal(&mut sealer, &[2; 10_000], &mut wire);
        assert_eq!(receive(&mut inbox, &wire, &mut || 100), [2; 10_000]);
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
