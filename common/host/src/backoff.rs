//! How long to wait after failures, with chance in it, so that a fleet does not come back in step.

use std::time::Duration;

use rand::RngExt as _;

/// Waits that double with every failure up to the longest, half of each left to chance.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// The longest wait after one failure, and after any number of them.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest);
        wait / 2 + jittered(wait / 2)
    }

    /// It worked: the next failure is the first.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A random time up to `longest`.
pub fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(rand::rng().random_range(0.0..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            let expected = Duration::from_secs(expected);
            let wait = backoff.next_wait();
            assert!(wait >= expected / 2 && wait <= expected, "{wait:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_secs(1));
    }
}
