//! Which gateways are asked what came of calls, each by one task at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Which gateways are asked. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookouts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Gateways that are being asked, each with what tells its task of one more call.
    asking: HashMap<String, Arc<Notify>>,
    /// The session in which a gateway said that it cannot be asked.
    cannot: HashMap<String, [u8; 8]>,
}

impl Lookouts {
    /// There is one more call that was dispatched to this gateway and of which nobody knows.
    pub(super) fn lost(&self, gateway: &str) {
        if let Some(more) = self.lock().asking.get(gateway) {
            more.notify_one();
        }
        self.0.changed.notify_one();
    }

    /// There may be more such calls, of any gateway.
    pub(super) fn changed(&self) {
        let asking = self.lock().asking.values().cloned().collect::<Vec<_>>();
        asking.iter().for_each(|more| more.notify_one());
        self.0.changed.notify_one();
    }

    /// `Some`: this gateway is to be asked in this session, nobody does yet, and what comes back
    /// tells of one more call.
    pub(super) fn begin(&self, gateway: &str, session: [u8; 8]) -> Option<Arc<Notify>> {
        let mut state = self.lock();
        if state.cannot.get(gateway) == Some(&session) || state.asking.contains_key(gateway) {
            return None;
        }
        let more = Arc::<Notify>::default();
        state.asking.insert(gateway.to_owned(), Arc::clone(&more));
        Some(more)
    }

    /// It cannot be asked in this session.
    pub(super) fn cannot(&self, gateway: &str, session: [u8; 8]) {
        self.lock().cannot.insert(gateway.to_owned(), session);
    }

    /// It is asked no more. Whoever looks for gateways to ask does so again: a call, or another
    /// session, may have come meanwhile.
    pub(super) fn end(&self, gateway: &str) {
        self.lock().asking.remove(gateway);
        self.0.changed.notify_one();
    }

    /// Waits until there may be a gateway to ask.
    pub(super) async fn notified(&self) {
        self.0.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole at every moment, whoever panicked meanwhile.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_comes_while_a_gateway_is_asked_is_not_missed() {
        let lookouts = Lookouts::default();
        let more = lookouts.begin("host", [1; 8]).unwrap();
        // Another session: the task that there is sees to it, and when it ends, somebody looks.
        assert!(lookouts.begin("host", [2; 8]).is_none());
        lookouts.lost("host");
        assert!(more.notified().now_or_never().is_some());
        assert!(lookouts.notified().now_or_never().is_some());
        assert!(lookouts.notified().now_or_never().is_none());
        lookouts.end("host");
        assert!(lookouts.notified().now_or_never().is_some());
        assert!(lookouts.begin("host", [2; 8]).is_some());
    }

    #[tokio::test]
    async fn a_gateway_that_cannot_be_asked_is_asked_in_its_next_session() {
        let lookouts = Lookouts::default();
        lookouts.begin("host", [1; 8]).unwrap();
        lookouts.cannot("host", [1; 8]);
        lookouts.end("host");
        assert!(lookouts.begin("host", [1; 8]).is_none());
        assert!(lookouts.begin("host", [2; 8]).is_some());
    }
}
