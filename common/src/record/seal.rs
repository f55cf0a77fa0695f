//! The sending side of a direction.

use std::fmt;
use std::io::IoSlice;
use std::time::Duration;

use zeroize::Zeroize;

use super::direction::{Direction, State};
use super::{
    HEADER_LEN, MAX_PLAINTEXT, RecordError, RecordHeader, RecordLimits, RecordType, TAG_LEN,
};
use crate::crypto::suites::Suite;
use crate::id::KeyKind;
use crate::secret::TrafficSecret;

/// Seals what one side sends. What it appends goes out unchanged, whole, and in order.
pub struct Sealer {
    state: State,
    /// When the first record of the present epoch was sealed.
    epoch_began: Option<Duration>,
}

impl Sealer {
    /// The sender of a direction whose first secret is `secret`. `kind` is that of the session's
    /// master key.
    pub fn new(secret: TrafficSecret, kind: KeyKind, suite: Suite, limits: RecordLimits) -> Self {
        Self {
            state: State::Live(Box::new(Direction::new(secret, kind, suite, limits))),
            epoch_began: None,
        }
    }

    /// Appends one data record to `out`, with as much of `pieces` as fits in it, and before it a
    /// key update where one is due. Gives the number of bytes taken, 0 only where `pieces` are
    /// empty (and then appends nothing).
    ///
    /// `now` is the time since any fixed moment; it must not go back.
    ///
    /// # Errors
    /// As [`Self::begin`] and [`Self::finish`]. Nothing was appended for the pieces then.
    pub fn data(
        &mut self,
        now: Duration,
        pieces: &[IoSlice<'_>],
        out: &mut Vec<u8>,
    ) -> Result<usize, RecordError> {
        let len = pieces
            .iter()
            .fold(0, |sum: usize, piece| sum.saturating_add(piece.len()))
            .min(MAX_PLAINTEXT);
        if len == 0 {
            return Ok(0);
        }
        let mut draft = self.begin(now, len, out)?;
        let taken = draft.append(pieces, out);
        self.finish(draft, out)?;
        Ok(taken)
    }

    /// Begins a data record at the end of `out`, which gets room for `len` bytes of plaintext (or
    /// for the most that a record may have), and before it a key update where one is due. What is
    /// appended to the draft goes out with [`Self::finish`], before anything else is sealed or
    /// appended.
    ///
    /// # Errors
    /// [`RecordError::Closed`] after [`Self::close`], [`RecordError::Exhausted`] at the session's
    /// hard limits, [`RecordError::Dead`] after an error.
    pub fn begin(
        &mut self,
        now: Duration,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<Draft, RecordError> {
        let len = len.clamp(1, MAX_PLAINTEXT);
        self.update_if_due(now, len, out)?;
        let room = self.try_live(|live| Ok(live.room()))?;
        self.epoch_began.get_or_insert(now);
        // At once, so that no plaintext is left behind in a buffer that had to grow.
        out.reserve(HEADER_LEN + len + TAG_LEN);
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        Ok(Draft { start, room })
    }

    /// Seals a draft where it stands.
    ///
    /// # Errors
    /// As [`Self::begin`]; [`RecordError::Length`] for a draft that is empty. Its plaintext was
    /// wiped and taken off then.
    pub fn finish(&mut self, draft: Draft, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let sealed = self.try_live(|live| seal(live, draft.header(out)?, draft.start, out));
        sealed.inspect_err(|_| draft.discard(out))
    }

    /// Appends the close, the last record of this direction, and erases the keys.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.try_live(|live| seal_empty(live, RecordType::Close, out))?;
        self.state = State::Closed;
        Ok(())
    }

    /// Makes what the next records will need: for a moment in which there is nothing else to do.
    /// `now` is as in [`Self::data`].
    pub fn prepare(&mut self, now: Duration) {
        if let State::Live(direction) = &mut self.state {
            let began = self.epoch_began.unwrap_or(now);
            direction.prepare(now.saturating_sub(began));
        }
    }

    /// Gives back what [`Self::prepare`] made, and whatever else can be made again: for a link that
    /// is idle.
    pub fn rest(&mut self) {
        if let State::Live(direction) = &mut self.state {
            direction.rest();
        }
    }

    /// Erases the keys: nothing more can be sealed.
    pub fn kill(&mut self) {
        self.state = State::Dead;
    }

    fn update_if_due(
        &mut self,
        now: Duration,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let began = self.epoch_began;
        let updated = self.try_live(|live| {
            let old = began.is_some_and(|began| now.saturating_sub(began) >= live.epoch_age());
            // The peer does not take the update of an epoch that nothing was sealed in.
            let due = (old || live.is_full_for(len)) && !live.is_unused();
            if due {
                seal_empty(live, RecordType::KeyUpdate, out)?;
                live.next_epoch()?;
            }
            Ok(due)
        })?;
        if updated {
            self.epoch_began = None;
        }
        Ok(())
    }

    /// Runs `step` on the live direction; an error of it kills the direction.
    fn try_live<T>(
        &mut self,
        step: impl FnOnce(&mut Direction) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        match &mut self.state {
            State::Live(direction) => step(direction).inspect_err(|_| self.state = State::Dead),
            State::Closed => Err(RecordError::Closed),
            State::Dead => Err(RecordError::Dead),
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer([redacted])")
    }
}

/// A data record that is being written: [`Sealer::begin`] gives it, [`Sealer::finish`] seals it.
/// Its plaintext stands at the end of the buffer that it was begun in, which nobody else may add to
/// meanwhile. It belongs to the epoch that it was begun in, however long it takes to finish: the
/// writer has to flush, and no more than one record waits.
#[derive(Debug)]
pub struct Draft {
    /// Where its header will be.
    start: usize,
    /// Bytes of plaintext that it may still take.
    room: usize,
}

impl Draft {
    /// Appends as much of `pieces` as the record may have and as `out` holds without growing (so
    /// that no plaintext is left behind in its former place); gives the number of bytes. Where that
    /// is 0, the draft is to be finished.
    pub fn append(&mut self, pieces: &[IoSlice<'_>], out: &mut Vec<u8>) -> usize {
        let space = (out.capacity() - out.len()).saturating_sub(TAG_LEN);
        let mut left = self.room.min(space);
        let mut taken = 0;
        for piece in pieces {
            let part = &piece[..piece.len().min(left)];
            out.extend_from_slice(part);
            left -= part.len();
            taken += part.len();
        }
        self.room -= taken;
        taken
    }

    /// Whether it can take no more plaintext.
    pub const fn is_full(&self) -> bool {
        self.room == 0
    }

    /// Wipes the plaintext and takes it off `out`.
    pub fn discard(&self, out: &mut Vec<u8>) {
        if let Some(text) = out.get_mut(self.start..) {
            text.zeroize();
        }
        out.truncate(self.start);
    }

    fn header(&self, out: &[u8]) -> Result<RecordHeader, RecordError> {
        let len = out.len().saturating_sub(self.start + HEADER_LEN);
        if (1..=MAX_PLAINTEXT).contains(&len) {
            Ok(RecordHeader::new(RecordType::Data, len))
        } else {
            Err(RecordError::Length(len))
        }
    }
}

/// Seals the record that begins at `start` and has everything but its tag; its header is written
/// here.
fn seal(
    direction: &mut Direction,
    header: RecordHeader,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let (cipher, sequence) = direction.next_record(header)?;
    let bytes = header.to_bytes();
    out[start..start + HEADER_LEN].copy_from_slice(&bytes);
    let tag = cipher.seal(sequence, bytes, &mut out[start + HEADER_LEN..])?;
    out.extend_from_slice(&tag);
    Ok(())
}

fn seal_empty(
    direction: &mut Direction,
    kind: RecordType,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    let sealed = seal(direction, RecordHeader::new(kind, 0), start, out);
    sealed.inspect_err(|_| out.truncate(start))
}
