//! One direction of a session: its epoch, its counters, its limits. Sender and receiver keep the same account.

use std::time::Duration;

use super::cipher::{self, EpochCipher};
use super::{RecordError, RecordHeader, RecordLimits, RecordType};
use crate::crypto::kdf::{Label, Purpose, expand_label};
use crate::crypto::suites::Suite;
use crate::id::KeyKind;
use crate::secret::TrafficSecret;

/// A live direction. Dropped at its close and at any failure, which erases its keys.
pub(super) struct Direction {
    kind: KeyKind,
    suite: Suite,
    limits: RecordLimits,
    secret: TrafficSecret,
    cipher: EpochCipher,
    /// Epochs begun, the present one included.
    epochs: u64,
    /// Blocks that the present epoch's records count for.
    blocks: u64,
    /// The number of the next record: never restarts.
    sequence: u64,
}

impl Direction {
    pub(super) fn new(
        secret: TrafficSecret,
        kind: KeyKind,
        suite: Suite,
        limits: RecordLimits,
    ) -> Self {
        Self {
            cipher: EpochCipher::new(&secret, kind, suite),
            kind,
            suite,
            limits,
            secret,
            epochs: 1,
            blocks: 0,
            sequence: 0,
        }
    }

    /// The cipher and the sequence number for the next record, once it fits the epoch's budget. A data record has to leave
    /// room for the update that ends the epoch.
    pub(super) fn next_record(
        &mut self,
        header: RecordHeader,
    ) -> Result<(&mut EpochCipher, u64), RecordError> {
        let reserve = match header.kind() {
            RecordType::Data => 1,
            RecordType::KeyUpdate | RecordType::Close => 0,
        };
        let blocks = self.blocks + cipher::cost(self.suite, header.plaintext_len);
        if blocks + reserve > self.limits.epoch_blocks {
            return Err(RecordError::BudgetExceeded);
        }
        if self.sequence >= self.limits.records {
            return Err(RecordError::Exhausted);
        }
        let sequence = self.sequence;
        self.sequence += 1;
        self.blocks = blocks;
        Ok((&mut self.cipher, sequence))
    }

    /// Goes on to the next epoch, after the update record. The former secret and keys are erased.
    pub(super) fn next_epoch(&mut self) -> Result<(), RecordError> {
        if self.epochs >= self.limits.epochs {
            return Err(RecordError::Exhausted);
        }
        let label = Label {
            purpose: Purpose::NextTrafficSecret,
            kind: self.kind,
            suite: Some(self.suite),
        };
        self.secret = expand_label(self.secret.expose(), label, &[]).into();
        self.cipher = EpochCipher::new(&self.secret, self.kind, self.suite);
        self.epochs += 1;
        self.blocks = 0;
        Ok(())
    }

    /// Nothing was sealed under the present epoch's key yet.
    pub(super) fn is_unused(&self) -> bool {
        self.blocks == 0
    }

    /// The present epoch has no room for a data record of `plaintext_len` bytes and an update after it.
    pub(super) fn is_full_for(&self, plaintext_len: usize) -> bool {
        self.blocks + cipher::cost(self.suite, plaintext_len) + 1 > self.limits.epoch_blocks
    }

    pub(super) fn epoch_age(&self) -> Duration {
        self.limits.epoch_age
    }
}

/// Where a direction stands.
pub(super) enum State {
    Live(Box<Direction>),
    /// The close was sent, or came.
    Closed,
    /// Something failed.
    Dead,
}
