//! The sending side of a direction.

use std::fmt;
use std::io::IoSlice;
use std::time::Duration;

use zeroize::Zeroize;

use super::direction::{Direction, State};
use super::{HEADER_LEN, MAX_PLAINTEXT, RecordError, RecordHeader, RecordLimits, RecordType};
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
    /// The sender of a direction whose first secret is `secret`. `kind` is that of the session's master key.
    pub fn new(secret: TrafficSecret, kind: KeyKind, suite: Suite, limits: RecordLimits) -> Self {
        Self {
            state: State::Live(Box::new(Direction::new(secret, kind, suite, limits))),
            epoch_began: None,
        }
    }

    /// Appends one data record to `out`, with as much of `pieces` as fits in it, and before it a key update where one is
    /// due. Gives the number of bytes taken, 0 only where `pieces` are empty (and then appends nothing).
    ///
    /// `now` is the time since any fixed moment; it must not go back.
    ///
    /// # Errors
    /// [`RecordError::Closed`] after [`Self::close`], [`RecordError::Exhausted`] at the session's hard limits,
    /// [`RecordError::Dead`] after an error. Nothing was appended for the pieces then.
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
        self.update_if_due(now, len, out)?;
        self.epoch_began.get_or_insert(now);
        self.try_live(|live| seal(live, RecordHeader::new(RecordType::Data, len), pieces, out))?;
        Ok(len)
    }

    /// Appends the close, the last record of this direction, and erases the keys.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.try_live(|live| seal(live, RecordHeader::new(RecordType::Close, 0), &[], out))?;
        self.state = State::Closed;
        Ok(())
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
            let due = old || live.is_full_for(len);
            if due {
                seal(live, RecordHeader::new(RecordType::KeyUpdate, 0), &[], out)?;
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

fn seal(
    direction: &mut Direction,
    header: RecordHeader,
    pieces: &[IoSlice<'_>],
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let (cipher, sequence) = direction.next_record(header)?;
    // At once, so that no plaintext is left behind in a buffer that had to grow.
    out.reserve(HEADER_LEN + header.body_len());
    out.extend_from_slice(&header.to_bytes());
    let start = out.len();
    let mut room = header.plaintext_len;
    for piece in pieces {
        let part = &piece[..piece.len().min(room)];
        out.extend_from_slice(part);
        room -= part.len();
    }
    match cipher.seal(sequence, header.to_bytes(), &mut out[start..]) {
        Ok(tag) => {
            out.extend_from_slice(&tag);
            Ok(())
        }
        Err(error) => {
            out[start..].zeroize();
            out.truncate(start - HEADER_LEN);
            Err(error)
        }
    }
}
