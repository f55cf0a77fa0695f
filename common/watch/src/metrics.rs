//! A program's registry: what all programs tell, and room for what each tells of itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::process::Process;
use crate::readiness::Readiness;

/// A yes or no, as 1 or 0.
#[derive(Clone, Debug, Default)]
pub struct Flag(Gauge);

impl Flag {
    /// It is so.
    pub fn set(&self, so: bool) {
        self.0.set(i64::from(so));
    }

    /// The gauge, to be registered.
    pub fn gauge(&self) -> Gauge {
        self.0.clone()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Part {
    check: &'static str,
}

/// The answer of `/ready` as a gauge.
#[derive(Clone, Debug, Default)]
struct ReadyGauge(Family<Part, Gauge>);

impl ReadyGauge {
    fn set(&self, ready: &Readiness) {
        for check in &ready.checks {
            let part = Part { check: check.name };
            self.0.get_or_create(&part).set(i64::from(check.ready));
        }
    }
}

/// All metrics of one program.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    ready: ReadyGauge,
    process: Process,
}

impl Metrics {
    /// Of a program whose metrics begin with `prefix` and that was started at this time, in seconds
    /// since 1970.
    pub fn new(prefix: &str, version: &str, started: f64) -> Self {
        let mut registry = Registry::default();
        let process = Process::register(&mut registry, started);
        let mut metrics = Self {
            registry,
            ready: ReadyGauge::default(),
            process,
        };
        let build = Info::new(vec![("version", version.to_owned())]);
        let ready = metrics.ready.0.clone();
        let own = metrics.own(prefix);
        own.register("build", "The program", build);
        own.register(
            "ready",
            "Whether each part of what the program needs works, as /ready says it",
            ready,
        );
        metrics
    }

    /// Where a program registers its own metrics.
    pub fn own(&mut self, prefix: &str) -> &mut Registry {
        self.registry.sub_registry_with_prefix(prefix)
    }

    /// All of them as OpenMetrics text.
    pub fn text(&self, ready: &Readiness) -> String {
        self.ready.set(ready);
        self.process.set();
        let mut text = String::new();
        // Writing into a text does not fail.
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics cannot be written down");
        }
        text
    }
}
