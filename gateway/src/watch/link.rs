//! Since when there is no link.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::listener::links::{Links, Scope};

/// Follows the sessions that carry calls.
#[derive(Debug)]
pub(super) struct LinkWatch {
    within: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// There was none since the start.
    Never(Instant),
    Linked,
    Lost(Instant),
}

impl LinkWatch {
    /// A link is missed once there was none for so long.
    pub(super) fn new(within: Duration) -> Self {
        Self {
            within,
            state: Mutex::new(State::Never(Instant::now())),
        }
    }

    /// Looks at every change, for ever.
    pub(super) async fn follow(&self, links: &Links) {
        let mut changes = links.changes();
        loop {
            self.see(links.list().iter().any(|link| link.scope == Scope::Full));
            if changes.changed().await.is_err() {
                // The sessions are gone, and the gateway with them.
                return std::future::pending().await;
            }
        }
    }

    fn see(&self, linked: bool) {
        let mut state = self.lock();
        *state = match (*state, linked) {
            (_, true) => State::Linked,
            (State::Linked, false) => State::Lost(Instant::now()),
            (other, false) => other,
        };
    }

    /// Why the gateway is of no use to a server, where it is of none.
    pub(super) fn fault(&self) -> Option<String> {
        match *self.lock() {
            State::Linked => None,
            State::Never(since) => Some(format!(
                "no link since the start {} s ago",
                since.elapsed().as_secs()
            )),
            State::Lost(since) if since.elapsed() <= self.within => None,
            State::Lost(since) => Some(format!("no link for {} s", since.elapsed().as_secs())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole at every moment, whoever panicked meanwhile.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_common::crypto::suites::Suite;
    use portcullis_common::handshake::{Mode, SessionInfo};
    use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};

    use super::*;

    fn session() -> SessionInfo {
        SessionInfo {
            server_id: ServerId::random(&mut rand::rng()),
            gateway_id: GatewayId::random(&mut rand::rng()),
            mode: Mode::Secure,
            key_id: KeyId::random(KeyKind::Tdes, &mut rand::rng()),
            suite: Suite::TdesCtrHmacSha256,
            session_id: [0; 8],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_is_missed_after_its_time_and_from_the_start_until_the_first() {
        let within = Duration::from_secs(60);
        let (watch, links) = (Arc::new(LinkWatch::new(within)), Arc::<Links>::default());
        let (following, followed) = (Arc::clone(&watch), Arc::clone(&links));
        tokio::spawn(async move { following.follow(&followed).await });
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(watch.fault().unwrap().contains("start 5 s ago"));
        // A session for enrolment carries no calls.
        let open = |scope| {
            let session = session();
            let turn = links.turn(session.server_id).unwrap();
            links.open(session, scope, String::new(), false, false, turn)
        };
        let enrolling = open(Scope::Enrolment);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(watch.fault().is_some());
        let link = open(Scope::Full);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(watch.fault(), None);
        drop((link, enrolling));
        // The watch sees the loss before the time goes on.
        tokio::task::yield_now().await;
        tokio::time::advance(within - Duration::from_secs(1)).await;
        assert_eq!(watch.fault(), None);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(watch.fault().unwrap().starts_with("no link for 6"));
    }
}
