//! What is counted in the fleet, for whoever watches the server.

use portcullis_watch::CallMeter;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::establish::LinkError;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shaken {
    result: &'static str,
}

/// Counts calls and handshakes. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    pub(super) calls: CallMeter,
    handshakes: Family<Shaken, Counter>,
}

impl Measured {
    /// Has `registry` show all of it.
    pub fn register(&self, registry: &mut Registry) {
        self.calls.register(registry);
        registry.register(
            "handshakes",
            "Attempts at a link, by what came of them",
            self.handshakes.clone(),
        );
    }

    /// An attempt came to this.
    pub(super) fn shaken<T>(&self, shaken: &Result<T, LinkError>) {
        self.attempt(match shaken {
            Ok(_) => "done",
            Err(LinkError::Connect { .. } | LinkError::ConnectTimeout { .. }) => "unreachable",
            Err(
                LinkError::Refused(_)
                | LinkError::NotPairing
                | LinkError::Proof(_)
                | LinkError::TokenSpent { .. }
                | LinkError::TokenRepeated { .. },
            ) => "refused",
            Err(LinkError::Tls(_) | LinkError::TlsTimeout(_) | LinkError::TlsRequired) => "tls",
            Err(LinkError::Repository(_)) => "repository",
            Err(_) => "failed",
        });
    }

    /// Somebody dialled who names no gateway that is registered to dial out.
    pub(super) fn stranger(&self) {
        self.attempt("stranger");
    }

    /// Somebody dialled and did not say who he is.
    pub(super) fn nameless(&self) {
        self.attempt("malformed");
    }

    /// Somebody dialled from where too many handshakes are half-open.
    pub(super) fn turned_away(&self) {
        self.attempt("turned_away");
    }

    fn attempt(&self, result: &'static str) {
        self.handshakes.get_or_create(&Shaken { result }).inc();
    }
}
