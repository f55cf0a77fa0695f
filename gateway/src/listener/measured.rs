//! Handshakes, counted for whoever watches the gateway.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shaken {
    result: &'static str,
}

/// Counts handshakes by what came of them.
#[derive(Clone, Debug, Default)]
pub struct Measured(Family<Shaken, Counter>);

impl Measured {
    /// Has `registry` show them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "handshakes",
            "Attempts at a session, by what came of them",
            self.0.clone(),
        );
    }

    /// One came to a session.
    pub(super) fn done(&self) {
        self.count("done");
    }

    /// One came to nothing, for this reason.
    pub(super) fn failed(&self, reason: &'static str) {
        self.count(reason);
    }

    fn count(&self, result: &'static str) {
        self.0.get_or_create(&Shaken { result }).inc();
    }
}
