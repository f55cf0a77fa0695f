//! How long the writer waits for further requests before it commits: not at all where few
//! operations are under way. Where many are, the request of one is soon followed by those of
//! others, and a commit for each would cost the processor more than what they do.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{MAX_TOGETHER, Request};

/// How long requests are gathered at most.
const GATHER: Duration = Duration::from_millis(1);
/// Operations under way that are too few to be waited for.
const FEW: usize = 4;
/// Commits without a wait, at the most, after one that was in vain.
const MOST_SPARED: u32 = 256;

/// What is known of the operations under way.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    under_way: usize,
    /// Commits before which nothing is waited for.
    spared: u32,
    /// How many those will be after the next wait in vain.
    next_spared: u32,
}

impl Gatherer {
    /// An operation is under way, which will have an outcome.
    pub(super) const fn begun(&mut self) {
        self.under_way += 1;
    }

    /// One has its outcome.
    pub(super) const fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Waits for further requests, where some are likely to come at once.
    pub(super) async fn gather(
        &mut self,
        queue: &mut mpsc::Receiver<Request>,
        requests: &mut Vec<Request>,
    ) {
        if self.under_way < FEW {
            return;
        }
        if self.spared > 0 {
            self.spared -= 1;
            return;
        }
        let (before, wanted) = (requests.len(), self.under_way / 2);
        let until = Instant::now() + GATHER;
        while requests.len() < wanted.min(MAX_TOGETHER) {
            let room = MAX_TOGETHER - requests.len();
            match timeout_at(until, queue.recv_many(requests, room)).await {
                // Closed, which shows at the next look, or over.
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let in_vain = requests.len() == before && before < wanted;
        self.learn(in_vain);
    }

    /// What is under way may be so for long: a wait that brought nothing is not repeated soon.
    fn learn(&mut self, in_vain: bool) {
        self.next_spared = match in_vain {
            true => (self.next_spared * 2).clamp(1, MOST_SPARED),
            false => 0,
        };
        self.spared = self.next_spared;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    fn request() -> Request {
        let (answer, _) = oneshot::channel();
        Request::Retry { answer }
    }

    fn busy() -> Gatherer {
        Gatherer {
            under_way: 32,
            ..Gatherer::default()
        }
    }

    #[tokio::test]
    async fn nothing_is_waited_for_where_few_operations_are_under_way() {
        let (_others, mut queue) = mpsc::channel(64);
        let mut few = Gatherer::default();
        (0..FEW - 1).for_each(|_| few.begun());
        let mut requests = vec![request()];
        let gathering = few.gather(&mut queue, &mut requests);
        assert!(gathering.now_or_never().is_some());
        few.begun();
        let gathering = few.gather(&mut queue, &mut requests);
        assert!(gathering.now_or_never().is_none());
    }

    #[tokio::test]
    async fn half_of_those_under_way_are_enough() {
        let (others, mut queue) = mpsc::channel(64);
        for _ in 0..15 {
            others.send(request()).await.unwrap();
        }
        let mut requests = vec![request()];
        let mut gatherer = busy();
        let gathering = gatherer.gather(&mut queue, &mut requests);
        assert!(gathering.now_or_never().is_some());
        assert_eq!(requests.len(), 16);
    }

    #[tokio::test]
    async fn waits_in_vain_become_rare_until_one_is_not() {
        let (others, mut queue) = mpsc::channel(64);
        let mut gatherer = busy();
        let mut waits = 0;
        for _ in 0..1_000 {
            waits += u32::from(gatherer.spared == 0);
            gatherer.gather(&mut queue, &mut vec![request()]).await;
        }
        assert!((5..=12).contains(&waits), "{waits}");
        others.send(request()).await.unwrap();
        gatherer.spared = 0;
        let mut requests = vec![request()];
        gatherer.gather(&mut queue, &mut requests).await;
        assert_eq!((requests.len(), gatherer.spared), (2, 0));
    }
}
