//! One direction of a session: its epoch, its counters, its limits. Sender and receiver keep the
//! same account.

use std::time::Duration;

use super::cipher::{self, EpochCipher};
use super::{MAX_PLAINTEXT, RecordError, RecordHeader, RecordLimits, RecordType};
use crate::crypto::kdf::{Label, Purpose, expand_label};
use crate::crypto::suites::Suite;
use crate::id::KeyKind;
use crate::secret::TrafficSecret;

/// A live direction. Dropped at its close and at any failure, which erases its keys.
pub(super) struct Direction {
    kind: KeyKind,
    suite: Suite,
    limits: RecordLimits,
    epoch: Epoch,
    /// The next epoch's, where it was made ahead of its time.
    next: Option<Epoch>,
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
            epoch: Epoch::new(secret, kind, suite),
            next: None,
            kind,
            suite,
            limits,
            epochs: 1,
            blocks: 0,
            sequence: 0,
        }
    }

    /// The cipher and the sequence number for the next record, once it fits the epoch's budget. A
    /// data record has to leave room for the update that ends the epoch.
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
        Ok((&mut self.epoch.cipher, sequence))
    }

    /// Goes on to the next epoch, after the update record. The former secret and keys are erased.
    pub(super) fn next_epoch(&mut self) -> Result<(), RecordError> {
        if self.epochs >= self.limits.epochs {
            return Err(RecordError::Exhausted);
        }
        let next = self.next.take();
        self.epoch = next.unwrap_or_else(|| self.derive_next());
        self.epochs += 1;
        self.blocks = 0;
        Ok(())
    }

    /// Makes what the next records will need: keystream, and near the end of an epoch that is `age`
    /// old the next one's keys.
    pub(super) fn prepare(&mut self, age: Duration) {
        self.epoch.cipher.prepare();
        let near_end = self.blocks >= most_of(self.limits.epoch_blocks)
            || age >= self.limits.epoch_age - self.limits.epoch_age / 8;
        let may_follow = !self.is_unused() && self.epochs < self.limits.epochs;
        if near_end && may_follow && self.next.is_none() {
            self.next = Some(self.derive_next());
        }
    }

    /// Gives back what [`Self::prepare`] made.
    pub(super) fn rest(&mut self) {
        self.epoch.cipher.rest();
        self.next = None;
    }

    /// Nothing was sealed under the present epoch's key yet.
    pub(super) fn is_unused(&self) -> bool {
        self.blocks == 0
    }

    /// The present epoch has no room for a data record of `plaintext_len` bytes and an update after
    /// it.
    pub(super) fn is_full_for(&self, plaintext_len: usize) -> bool {
        self.blocks + cipher::cost(self.suite, plaintext_len) + 1 > self.limits.epoch_blocks
    }

    /// Bytes of plaintext that a data record may still have in the present epoch.
    pub(super) fn room(&self) -> usize {
        let blocks = self.limits.epoch_blocks.saturating_sub(self.blocks + 1);
        cipher::bytes(self.suite, blocks).min(MAX_PLAINTEXT)
    }

    pub(super) fn epoch_age(&self) -> Duration {
        self.limits.epoch_age
    }

    fn derive_next(&self) -> Epoch {
        let label = Label {
            purpose: Purpose::NextTrafficSecret,
            kind: self.kind,
            suite: Some(self.suite),
        };
        let secret = expand_label(self.epoch.secret.expose(), label, &[]).into();
        Epoch::new(secret, self.kind, self.suite)
    }
}

/// An epoch's secret, and the keys made from it; erased on drop.
struct Epoch {
    secret: TrafficSecret,
    cipher: EpochCipher,
}

impl Epoch {
    fn new(secret: TrafficSecret, kind: KeyKind, suite: Suite) -> Self {
        Self {
            cipher: EpochCipher::new(&secret, kind, suite),
            secret,
        }
    }
}

/// Seven eighths.
const fn most_of(blocks: u64) -> u64 {
    blocks - blocks / 8
}

/// Where a direction stands.
pub(super) enum State {
    Live(Box<Direction>),
    /// The close was sent, or came.
    Closed,
    /// Something failed.
    Dead,
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_EPOCHS, MAX_RECORDS};
    use super::*;

    const AGE: Duration = Duration::from_secs(600);

    fn direction() -> Direction {
        let limits = RecordLimits {
            epoch_blocks: 80,
            ..RecordLimits::new(AGE)
        };
        let secret = TrafficSecret::from_bytes(&[1; 32]);
        Direction::new(secret, KeyKind::Tdes, Suite::TdesCtrHmacSha256, limits)
    }

    fn use_blocks(direction: &mut Direction, blocks: usize) {
        let header = RecordHeader::new(RecordType::Data, blocks * 8);
        direction.next_record(header).unwrap();
    }

    #[test]
    fn the_next_epoch_is_made_near_the_end_of_the_budget_or_the_age() {
        let mut by_budget = direction();
        // An unused epoch does not end.
        by_budget.prepare(AGE);
        assert!(by_budget.next.is_none());
        use_blocks(&mut by_budget, 69);
        by_budget.prepare(Duration::ZERO);
        assert!(by_budget.next.is_none());
        use_blocks(&mut by_budget, 1);
        by_budget.prepare(Duration::ZERO);
        assert!(by_budget.next.is_some());

        let mut by_age = direction();
        use_blocks(&mut by_age, 1);
        by_age.prepare(Duration::from_secs(524));
        assert!(by_age.next.is_none());
        by_age.prepare(Duration::from_secs(525));
        assert!(by_age.next.is_some());
        // No more than one ahead, and none at rest.
        by_age.next_epoch().unwrap();
        assert!(by_age.next.is_none());
        use_blocks(&mut by_age, 75);
        by_age.prepare(Duration::ZERO);
        assert!(by_age.next.is_some());
        by_age.rest();
        assert!(by_age.next.is_none());
    }

    #[test]
    fn the_last_number_is_used_once_and_none_after_it() {
        let mut direction = direction();
        direction.sequence = MAX_RECORDS - 1;
        let header = RecordHeader::new(RecordType::Data, 1);
        let number = direction.next_record(header).map(|(_, number)| number);
        assert_eq!(number, Ok((1 << 48) - 1));
        for _ in 0..3 {
            let number = direction.next_record(header).map(|(_, number)| number);
            assert_eq!(number, Err(RecordError::Exhausted));
        }
        direction.epochs = MAX_EPOCHS - 1;
        assert_eq!(direction.next_epoch(), Ok(()));
        use_last_epoch(&mut direction);
        assert_eq!(direction.next_epoch(), Err(RecordError::Exhausted));
    }

    /// There is no other to be made ahead.
    fn use_last_epoch(direction: &mut Direction) {
        direction.sequence = 0;
        use_blocks(direction, 75);
        direction.prepare(AGE);
        assert!(direction.next.is_none());
    }

    #[test]
    fn an_epoch_made_ahead_is_the_one_that_would_have_been_made() {
        let (mut ahead, mut in_time) = (direction(), direction());
        for _ in 0..3 {
            for direction in [&mut ahead, &mut in_time] {
                use_blocks(direction, 75);
            }
            ahead.prepare(Duration::ZERO);
            for direction in [&mut ahead, &mut in_time] {
                direction.next_epoch().unwrap();
            }
            assert_eq!(ahead.epoch.secret.expose(), in_time.epoch.secret.expose());
        }
    }
}
