//! How long the writer waits for further commands before it flushes: not at all where few calls are
//! under way. Where many are, the record of one is soon followed by those of others, and a flush
//! for each would cost the processor more than the records do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::writer::Command;

/// Commands of one batch.
const BATCH: usize = 256;
/// How long they are gathered at most.
const GATHER: Duration = Duration::from_micros(500);
/// Calls under way that are too few to be waited for.
const FEW: usize = 4;
/// Batches without a wait, at the most, after one that was in vain.
const MOST_SPARED: u32 = 256;

/// The calls that were begun and have not ended, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<AtomicUsize>);

/// One of them, until it is dropped: however the call ends, it is no longer counted.
#[derive(Debug)]
pub(super) struct Begun(UnderWay);

impl UnderWay {
    /// One more.
    pub(super) fn begin(&self) -> Begun {
        self.0.fetch_add(1, Ordering::Relaxed);
        Begun(self.clone())
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When a batch is complete.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    under_way: UnderWay,
    /// Batches before which nothing is waited for.
    spared: u32,
    /// How many those will be after the next wait in vain.
    next_spared: u32,
    /// Since when is waited for this batch, and with how many commands.
    waits: Option<(Instant, usize)>,
}

impl Gatherer {
    /// Nothing was waited for yet.
    pub(super) fn new(under_way: UnderWay) -> Self {
        Self {
            under_way,
            ..Self::default()
        }
    }

    /// The next command of a batch that has so many; `None`: it is to be written.
    pub(super) fn next(&mut self, commands: &Receiver<Command>, has: usize) -> Option<Command> {
        if has >= BATCH {
            return None;
        }
        if let Ok(command) = commands.try_recv() {
            return Some(command);
        }
        let under_way = self.under_way.count();
        if under_way < FEW || self.spared > 0 || has >= under_way / 2 {
            return None;
        }
        let (since, _) = *self.waits.get_or_insert((Instant::now(), has));
        let left = GATHER.saturating_sub(since.elapsed());
        commands.recv_timeout(left).ok()
    }

    /// A batch is complete.
    pub(super) fn written(&mut self, batch: &[Command]) {
        match self.waits.take() {
            Some((_, had)) if batch.len() <= had => {
                self.next_spared = (self.next_spared * 2).clamp(1, MOST_SPARED);
                self.spared = self.next_spared;
            }
            Some(_) => self.next_spared = 0,
            None => self.spared = self.spared.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::journal::record::Record;

    /// With so many calls under way.
    fn with(calls: usize) -> (Gatherer, Vec<Begun>) {
        let under_way = UnderWay::default();
        let begun = (0..calls).map(|_| under_way.begin()).collect();
        (Gatherer::new(under_way), begun)
    }

    fn note() -> Command {
        Command::note(Record::Flushed)
    }

    #[test]
    fn nothing_is_waited_for_where_few_calls_are_under_way() {
        let (_others, commands) = mpsc::channel();
        let (mut few, mut begun) = with(FEW);
        assert!(few.next(&commands, 1).is_none());
        assert!(
            few.waits
                .is_some_and(|(since, _)| since.elapsed() >= GATHER)
        );
        few.written(&[note()]);
        few.spared = 0;
        begun.pop();
        assert!(few.next(&commands, 1).is_none() && few.waits.is_none());
    }

    #[test]
    fn half_of_those_under_way_are_enough_and_what_is_there_comes_along() {
        let (others, commands) = mpsc::channel();
        (0..20).for_each(|_| others.send(note()).unwrap());
        let (mut gatherer, _begun) = with(32);
        let mut batch = vec![note()];
        while let Some(command) = gatherer.next(&commands, batch.len()) {
            batch.push(command);
        }
        assert_eq!(batch.len(), 21);
        assert!(gatherer.waits.is_none());
    }

    #[test]
    fn waits_in_vain_become_rare_until_one_is_not() {
        let (others, commands) = mpsc::channel();
        let (mut gatherer, _begun) = with(32);
        let mut waits = 0;
        for _ in 0..1_000 {
            assert!(gatherer.next(&commands, 1).is_none());
            waits += u32::from(gatherer.waits.is_some());
            gatherer.written(&[note()]);
        }
        assert!((5..=12).contains(&waits), "{waits}");
        gatherer.spared = 0;
        assert!(gatherer.next(&commands, 1).is_none());
        others.send(note()).unwrap();
        let next = gatherer.next(&commands, 1).unwrap();
        gatherer.written(&[note(), next]);
        assert_eq!(gatherer.spared, 0);
    }
}
