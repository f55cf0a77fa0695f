//! Which gateways are asked what came of calls, each by one task at a time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Which gateways are asked. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookouts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    lost: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The session in which each gateway was asked to the end.
    asked: HashMap<String, [u8; 8]>,
    /// Gateways that are being asked.
    asking: HashSet<String>,
    /// Of these, those with a call that came meanwhile.
    more: HashSet<String>,
}

impl Lookouts {
    /// There is one more call that was dispatched to this gateway and of which nobody knows.
    pub(super) fn lost(&self, gateway: &str) {
        let mut state = self.lock();
        state.asked.remove(gateway);
        if state.asking.contains(gateway) {
            state.more.insert(gateway.to_owned());
        }
        drop(state);
        self.0.lost.notify_one();
    }

    /// True: this gateway is to be asked in this session, and nobody does yet.
    pub(super) fn begin(&self, gateway: &str, session: [u8; 8]) -> bool {
        let mut state = self.lock();
        state.asked.get(gateway) != Some(&session) && state.asking.insert(gateway.to_owned())
    }

    /// It was asked all there is to ask in this session.
    pub(super) fn end(&self, gateway: &str, session: [u8; 8]) {
        let mut state = self.lock();
        state.asking.remove(gateway);
        if state.more.remove(gateway) {
            self.0.lost.notify_one();
        } else {
            state.asked.insert(gateway.to_owned(), session);
        }
    }

    /// Waits until [`Self::lost`] was called since.
    pub(super) async fn notified(&self) {
        self.0.lost.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole at every moment, whoever panicked meanwhile.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
