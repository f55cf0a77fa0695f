//! Until when what a program shows and believes is valid.

use std::sync::atomic::AtomicU64;

use portcullis_common::rotation::UnixMillis;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    of: &'static str,
}

/// Until when the files of `[tls]` are valid.
#[derive(Debug)]
pub struct ExpiryGauge(Family<Of, Gauge<f64, AtomicU64>>);

impl ExpiryGauge {
    /// Has `registry` show `tls_expiry_timestamp_seconds`.
    pub fn register(registry: &mut Registry) -> Self {
        let ends = Family::default();
        registry.register(
            "tls_expiry_timestamp_seconds",
            "Until when the certificates, the authority and the list of [tls] are valid, in seconds since 1970",
            ends.clone(),
        );
        Self(ends)
    }

    /// As they are now; without TLS there is no line.
    pub fn set(&self, ends: impl IntoIterator<Item = (&'static str, UnixMillis)>) {
        self.0.clear();
        for (of, until) in ends {
            let gauge = self.0.get_or_create(&Of { of });
            gauge.set(until.0 as f64 / 1_000.0);
        }
    }
}
