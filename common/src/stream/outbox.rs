//! What is to go out: sealed records that the transport has not taken yet.

use std::io::IoSlice;
use std::time::Duration;

use super::{PATIENCE, SMALL_BUFFER};
use crate::record::{RecordError, Sealer};

/// Bytes that wait here at most before a write has to wait too. One record and its key update may come on top.
const HIGH_WATER: usize = 32 * 1024;
/// Bytes that wait here before a write hands them on by itself, without a flush.
const SEND_AT: usize = 16 * 1024;

/// Bytes of one sending direction: ciphertext only.
pub(super) struct Outbox {
    sealer: Sealer,
    buffer: Vec<u8>,
    sent: usize,
    /// Times in a row that the buffer was emptied without having been large.
    quiet: u32,
    closed: bool,
}

impl Outbox {
    pub(super) fn new(sealer: Sealer) -> Self {
        Self {
            sealer,
            buffer: Vec::new(),
            sent: 0,
            quiet: 0,
            closed: false,
        }
    }

    /// Seals one record; gives the bytes that it took.
    pub(super) fn seal(
        &mut self,
        now: Duration,
        pieces: &[IoSlice<'_>],
    ) -> Result<usize, RecordError> {
        if self.sent * 2 >= self.buffer.len() {
            self.buffer.drain(..self.sent);
            self.sent = 0;
        }
        self.sealer.data(now, pieces, &mut self.buffer)
    }

    /// Seals the close, once.
    pub(super) fn close(&mut self) -> Result<(), RecordError> {
        if !self.closed {
            self.sealer.close(&mut self.buffer)?;
            self.closed = true;
        }
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What the transport is to take next.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting().len() >= HIGH_WATER
    }

    pub(super) fn is_worth_sending(&self) -> bool {
        self.waiting().len() >= SEND_AT
    }

    /// The transport took `len` bytes.
    pub(super) fn taken(&mut self, len: usize) {
        self.sent += len;
        if self.sent < self.buffer.len() {
            return;
        }
        self.quiet = if self.sent > SMALL_BUFFER {
            0
        } else {
            self.quiet.saturating_add(1)
        };
        self.buffer.clear();
        self.sent = 0;
        if self.quiet >= PATIENCE {
            self.buffer.shrink_to(SMALL_BUFFER);
        }
    }

    /// Erases keys and contents.
    pub(super) fn kill(&mut self) {
        self.sealer.kill();
        self.buffer = Vec::new();
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::suites::Suite;
    use crate::id::KeyKind;
    use crate::record::{MAX_RECORD, RecordLimits};
    use crate::secret::TrafficSecret;

    #[test]
    fn a_transport_that_never_catches_up_does_not_make_the_buffer_grow() {
        let secret = TrafficSecret::from_bytes(&[1; 32]);
        let limits = RecordLimits::new(Duration::from_secs(600));
        let suite = Suite::Aes256Gcm;
        let mut outbox = Outbox::new(Sealer::new(secret, KeyKind::Tdes, suite, limits));
        for _ in 0..5_000 {
            while !outbox.is_full() {
                outbox
                    .seal(Duration::ZERO, &[IoSlice::new(&[7; 3_000])])
                    .unwrap();
            }
            assert!(outbox.buffer.len() <= 2 * HIGH_WATER + MAX_RECORD);
            outbox.taken(2_000);
        }
    }

    #[test]
    fn a_large_buffer_that_is_not_needed_is_given_back() {
        let secret = TrafficSecret::from_bytes(&[1; 32]);
        let limits = RecordLimits::new(Duration::from_secs(600));
        let suite = Suite::Aes256Gcm;
        let mut outbox = Outbox::new(Sealer::new(secret, KeyKind::Tdes, suite, limits));
        let mut send = |text: &[u8]| {
            outbox.seal(Duration::ZERO, &[IoSlice::new(text)]).unwrap();
            outbox.taken(outbox.waiting().len());
            outbox.buffer.capacity()
        };
        assert!(send(&[7; 16_000]) > SMALL_BUFFER);
        let after: Vec<_> = (0..PATIENCE).map(|_| send(b"ping")).collect();
        assert!(after[0] > SMALL_BUFFER && after[PATIENCE as usize - 1] <= SMALL_BUFFER);
    }
}
