//! Turns: on how many of the handshakes that it began the server works at once, so that a fleet
//! that comes back in one moment does not slow down all of its handshakes until they fail.
//!
//! A turn is for work, and not for waiting: one whose peer says nothing for long loses it and goes
//! on without. Otherwise a few hosts that take connections and never answer would keep all others
//! out: those have taken a connection, too, and do not wait for ever to hear something on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Longer than a handshake takes with a peer that answers, and so short that ten thousand mute
/// ones, each dialled once a minute, leave most turns to others.
const LONGEST: Duration = Duration::from_millis(200);

/// All of them.
#[derive(Debug)]
pub(super) struct Turns(Arc<Semaphore>);

/// A turn, until it is dropped or has lasted [`LONGEST`].
#[derive(Debug)]
pub(super) struct Turn {
    /// Has the place, and gives it back at its end.
    _ending: JoinSet<()>,
}

impl Turns {
    /// So many at once.
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for one.
    pub(super) async fn acquire(&self) -> Turn {
        let place = Arc::clone(&self.0).acquire_owned().await;
        let mut ending = JoinSet::new();
        ending.spawn(async move {
            sleep(LONGEST).await;
            drop(place);
        });
        Turn { _ending: ending }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_mute_peer_holds_up_nobody_for_long() {
        let turns = Turns::new(2);
        let all_had_one = async {
            let mut mute = Vec::new();
            for _ in 0..6 {
                mute.push(turns.acquire().await);
            }
        };
        // Reached only where something is wrong.
        let deadline = Duration::from_secs(60);
        assert!(timeout(deadline, all_had_one).await.is_ok());
    }
}
