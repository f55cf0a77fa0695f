//! Handshakes that came to nothing, logged so that a stranger cannot flood the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_host::limit::{Allowance, Limit};
use tracing::warn;

/// Lines in one window; what is beyond is counted only.
const MOST: u64 = 20;
const WINDOW: Duration = Duration::from_secs(60);
const LOGGED: Limit = Limit {
    burst: MOST,
    refill: MOST,
    every: WINDOW,
};

/// Counts refusals.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Allowance<Instant>>);

impl Refusals {
    /// Logs that a handshake with `peer` came to nothing. False: too many do, and this one is
    /// counted only.
    pub fn log(&self, peer: &str, error: &str) -> bool {
        let Some(unlogged) = self.count(Instant::now()) else {
            return false;
        };
        if unlogged > 0 {
            warn!(
                count = unlogged,
                "more handshakes failed within a minute than are logged"
            );
        }
        warn!(name: "handshake_refused", peer, "no session: {error}");
        true
    }

    /// Whether to log one more; if so, how many went unlogged in the window before.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut allowance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        allowance.admit(&LOGGED, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_logged_in_part_and_counted() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let logged = (0..1000)
            .filter(|_| refusals.count(start).is_some())
            .count();
        assert_eq!(logged, MOST as usize);
        assert_eq!(refusals.count(start + WINDOW), Some(1000 - MOST));
        assert_eq!(refusals.count(start + 2 * WINDOW), Some(0));
    }
}
