//! Handshakes that came to nothing, logged so that a stranger cannot flood the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

const WINDOW: Duration = Duration::from_secs(60);
/// Lines in one window; what is beyond is counted only.
const MOST: u32 = 20;

/// Counts refusals.
#[derive(Debug, Default)]
pub struct Refusals {
    window: Mutex<Option<Window>>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    seen: u32,
}

/// Whether to log one more, and how many went unlogged in the window before.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    log: bool,
    unlogged: u32,
}

impl Refusals {
    /// Logs that a handshake with `peer` came to nothing. False: too many do, and this one is counted only.
    pub fn log(&self, peer: &str, error: &str) -> bool {
        let verdict = self.count(Instant::now());
        if verdict.unlogged > 0 {
            warn!(
                count = verdict.unlogged,
                "more handshakes failed within a minute than are logged"
            );
        }
        if verdict.log {
            warn!(peer, "no session: {error}");
        }
        verdict.log
    }

    fn count(&self, now: Instant) -> Verdict {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unlogged = 0;
        let current = match &mut *window {
            Some(current) if now.duration_since(current.began) < WINDOW => current,
            over => {
                unlogged = over
                    .as_ref()
                    .map_or(0, |former| former.seen.saturating_sub(MOST));
                over.insert(Window {
                    began: now,
                    seen: 0,
                })
            }
        };
        current.seen = current.seen.saturating_add(1);
        Verdict {
            log: current.seen <= MOST,
            unlogged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_logged_in_part_and_counted() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let logged = (0..1000).filter(|_| refusals.count(start).log).count();
        assert_eq!(logged, MOST as usize);
        let next = refusals.count(start + WINDOW);
        assert_eq!(
            next,
            Verdict {
                log: true,
                unlogged: 1000 - MOST
            }
        );
        assert_eq!(refusals.count(start + 2 * WINDOW).unlogged, 0);
    }
}
