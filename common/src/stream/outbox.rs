//! What is to go out: records that the transport has not taken yet.

use std::io::IoSlice;
use std::time::Duration;

use super::SMALL_BUFFER;
use crate::record::{Draft, HEADER_LEN, MAX_PLAINTEXT, MAX_RECORD, RecordError, Sealer, TAG_LEN};

/// Bytes that are gathered before they are handed on without a flush; and where the transport does
/// not take them, before a write has to wait.
const SEND_AT: usize = 2 * MAX_RECORD;
/// Holds what is gathered at most: one more record, and a key update before it.
const LARGE_BUFFER: usize = SEND_AT + MAX_RECORD + HEADER_LEN + TAG_LEN;

/// Bytes of one sending direction.
///
/// What is written is copied once, into the record that will carry it, and sealed where it stands.
/// Small writes share a record; a flush ends it. The transport takes one buffer while the next one
/// is gathered, so that nothing is moved.
pub(super) struct Outbox {
    sealer: Sealer,
    /// Records that the transport takes now, `sent` bytes of which it has.
    sending: Vec<u8>,
    sent: usize,
    /// What comes after them: records, and the one that is not sealed yet.
    gathering: Vec<u8>,
    draft: Option<Draft>,
    closed: bool,
}

impl Outbox {
    pub(super) const fn new(sealer: Sealer) -> Self {
        Self {
            sealer,
            sending: Vec::new(),
            sent: 0,
            gathering: Vec::new(),
            draft: None,
            closed: false,
        }
    }

    /// Takes what one record has room for; gives the number of bytes, 0 only where there is
    /// nothing. Only where it is not full.
    pub(super) fn write(
        &mut self,
        now: Duration,
        pieces: &[IoSlice<'_>],
    ) -> Result<usize, RecordError> {
        let len = pieces
            .iter()
            .fold(0, |sum: usize, piece| sum.saturating_add(piece.len()));
        if len == 0 {
            return Ok(0);
        }
        if let Some(draft) = &mut self.draft {
            let taken = draft.append(pieces, &mut self.gathering);
            let is_full = draft.is_full();
            if taken == 0 || is_full {
                self.finish()?;
            }
            if taken > 0 {
                return Ok(taken);
            }
        }
        self.make_room(len);
        let mut draft = self.sealer.begin(now, len, &mut self.gathering)?;
        let taken = draft.append(pieces, &mut self.gathering);
        let is_full = draft.is_full();
        self.draft = Some(draft);
        if is_full {
            self.finish()?;
        }
        Ok(taken)
    }

    /// Seals what was written, so that all of it can be sent.
    pub(super) fn finish(&mut self) -> Result<(), RecordError> {
        match self.draft.take() {
            Some(draft) => self.sealer.finish(draft, &mut self.gathering),
            None => Ok(()),
        }
    }

    /// Seals the close, once.
    pub(super) fn close(&mut self) -> Result<(), RecordError> {
        if !self.closed {
            self.finish()?;
            self.sealer.close(&mut self.gathering)?;
            self.closed = true;
        }
        Ok(())
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sealed records that the transport is to take next; empty where there are none.
    pub(super) fn waiting(&mut self) -> &[u8] {
        if self.sent == self.sending.len() {
            self.sending.clear();
            self.sent = 0;
            if self.draft.is_none() {
                std::mem::swap(&mut self.sending, &mut self.gathering);
            }
        }
        &self.sending[self.sent..]
    }

    /// A write has to wait until the transport took something.
    pub(super) const fn is_full(&self) -> bool {
        self.gathering.len() >= SEND_AT
    }

    /// The transport took `len` bytes of what [`Self::waiting`] gave.
    pub(super) const fn taken(&mut self, len: usize) {
        self.sent += len;
    }

    /// See [`Sealer::prepare`].
    pub(super) fn prepare(&mut self, now: Duration) {
        self.sealer.prepare(now);
    }

    /// See [`Sealer::rest`]. Empty buffers are given back.
    pub(super) fn rest(&mut self) {
        self.sealer.rest();
        for buffer in [&mut self.sending, &mut self.gathering] {
            if buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
    }

    /// Erases keys and contents.
    pub(super) fn kill(&mut self) {
        self.sealer.kill();
        self.discard();
        self.sending = Vec::new();
        self.sent = 0;
        self.gathering = Vec::new();
    }

    /// Bytes of memory that the buffers take.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.sending.capacity() + self.gathering.capacity()
    }

    /// Makes room for a record of `len` bytes of plaintext and a key update. Nothing but ciphertext
    /// is moved.
    fn make_room(&mut self, len: usize) {
        let record = HEADER_LEN + len.min(MAX_PLAINTEXT) + TAG_LEN;
        let needed = self.gathering.len() + record + HEADER_LEN + TAG_LEN;
        if needed > self.gathering.capacity() {
            let size = if needed > SMALL_BUFFER {
                LARGE_BUFFER
            } else {
                SMALL_BUFFER
            };
            self.gathering.reserve_exact(size - self.gathering.len());
        }
    }

    /// Wipes what was not sealed.
    fn discard(&mut self) {
        if let Some(draft) = self.draft.take() {
            draft.discard(&mut self.gathering);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.discard();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::suites::Suite;
    use crate::id::KeyKind;
    use crate::record::{Opened, Opener, RecordLimits};
    use crate::secret::TrafficSecret;

    const LIMITS: RecordLimits = RecordLimits::new(Duration::from_secs(600));

    fn secret() -> TrafficSecret {
        TrafficSecret::from_bytes(&[1; 32])
    }

    fn outbox() -> Outbox {
        let suite = Suite::TdesCtrHmacSha256;
        Outbox::new(Sealer::new(secret(), KeyKind::Tdes, suite, LIMITS))
    }

    fn write(outbox: &mut Outbox, text: &[u8]) -> usize {
        let (left, right) = text.split_at(text.len() / 3);
        let pieces = [IoSlice::new(left), IoSlice::new(right)];
        outbox.write(Duration::ZERO, &pieces).unwrap()
    }

    /// Has the transport take all that waits, `most` bytes at a time.
    fn send(outbox: &mut Outbox, most: usize, wire: &mut Vec<u8>) {
        loop {
            let waiting = outbox.waiting();
            let len = waiting.len().min(most);
            if len == 0 {
                return;
            }
            wire.extend_from_slice(&waiting[..len]);
            outbox.taken(len);
        }
    }

    /// The texts of the records in `wire`.
    fn texts(mut wire: &[u8]) -> Vec<Vec<u8>> {
        let suite = Suite::TdesCtrHmacSha256;
        let mut opener = Opener::new(secret(), KeyKind::Tdes, suite, LIMITS);
        let mut texts = Vec::new();
        while let Some((header, rest)) = wire.split_first_chunk() {
            let header = opener.header(*header).unwrap();
            let (body, rest) = rest.split_at(header.body_len());
            if let Opened::Data(text) = opener.open(header, &mut body.to_vec()).unwrap() {
                texts.push(text.to_vec());
            }
            wire = rest;
        }
        texts
    }

    #[test]
    fn small_writes_share_a_record_and_large_ones_fill_theirs() {
        let mut outbox = outbox();
        let mut wire = Vec::new();
        for _ in 0..10 {
            assert_eq!(write(&mut outbox, &[7; 100]), 100);
        }
        send(&mut outbox, usize::MAX, &mut wire);
        assert!(wire.is_empty(), "a record was sent before it was finished");
        outbox.finish().unwrap();
        send(&mut outbox, usize::MAX, &mut wire);
        assert_eq!(texts(&wire), [vec![7; 1_000]]);

        let text = vec![8; 3 * MAX_PLAINTEXT];
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            rest = &rest[write(&mut outbox, rest)..];
        }
        outbox.finish().unwrap();
        send(&mut outbox, 1_000, &mut wire);
        let lens: Vec<_> = texts(&wire).iter().map(Vec::len).collect();
        assert_eq!(lens, [1_000, 16_384, 16_384, 16_384]);
    }

    #[test]
    fn writes_of_nothing_make_no_record() {
        let mut outbox = outbox();
        assert_eq!(write(&mut outbox, b""), 0);
        outbox.finish().unwrap();
        assert!(outbox.waiting().is_empty());
    }

    #[test]
    fn a_transport_that_never_catches_up_does_not_make_the_buffers_grow_nor_move_what_they_hold() {
        let mut outbox = outbox();
        let mut wire = Vec::new();
        let (mut written, mut places) = (0, std::collections::HashSet::new());
        for round in 0..5_000 {
            while !outbox.is_full() {
                written += write(&mut outbox, &[7; 3_000]);
            }
            outbox.finish().unwrap();
            let waiting = outbox.waiting();
            wire.extend_from_slice(&waiting[..2_000.min(waiting.len())]);
            let len = waiting.len().min(2_000);
            outbox.taken(len);
            // After the first few, nothing is allocated or moved any more: there are two buffers,
            // which take turns.
            if round > 100 {
                places.insert(outbox.sending.as_ptr().addr());
                places.insert(outbox.gathering.as_ptr().addr());
            }
            assert!(outbox.sending.capacity() <= LARGE_BUFFER);
            assert!(outbox.gathering.capacity() <= LARGE_BUFFER);
        }
        assert_eq!(places.len(), 2);
        send(&mut outbox, usize::MAX, &mut wire);
        assert_eq!(texts(&wire).concat(), vec![7; written]);
    }

    #[test]
    fn a_link_at_rest_keeps_no_buffer_and_goes_on() {
        let mut outbox = outbox();
        let mut wire = Vec::new();
        for text in [&[7; 16_000][..], b"ping"] {
            write(&mut outbox, text);
            outbox.finish().unwrap();
            outbox.rest();
            assert!(!outbox.waiting().is_empty(), "lost");
            send(&mut outbox, usize::MAX, &mut wire);
            outbox.rest();
            assert_eq!(outbox.kept(), 0);
        }
        assert_eq!(texts(&wire), [vec![7; 16_000], b"ping".to_vec()]);
    }

    #[test]
    fn plaintext_stays_nowhere() {
        let secret = b"correct horse battery staple";
        let holds = |bytes: &[u8]| {
            bytes
                .windows(8)
                .any(|at| secret.windows(8).any(|s| s == at))
        };
        let mut outbox = outbox();
        write(&mut outbox, secret);
        assert!(holds(&outbox.gathering), "this search tells nothing");
        outbox.finish().unwrap();
        assert!(!holds(&outbox.gathering));
        write(&mut outbox, secret);
        outbox.discard();
        // What was cut off a buffer lies behind its end.
        let len = outbox.gathering.capacity();
        outbox.gathering.resize(len, 0);
        assert!(!holds(&outbox.gathering));
    }
}
