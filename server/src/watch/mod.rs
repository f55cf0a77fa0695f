//! Health and metrics of the running server, for whoever watches it. `serve` alone reads it.

mod gauges;
mod probe;

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_watch::{Check, Metrics, Readiness, Watched, check};

use crate::config::Config;
use crate::forward::Place;
use crate::services::Services;
use gauges::Gauges;
use probe::Probe;

/// What the names of all metrics begin with.
const PREFIX: &str = "portcullis";

/// What is said of a database without a synchronous standby.
const NO_STANDBY: &str = "the database has no synchronous standby: if its host is lost, so are the changes of the last moments; set synchronous_standby_names";

/// What is told of a running server.
#[derive(Debug)]
pub(crate) struct Watch {
    services: Services,
    probe: Probe,
    metrics: Metrics,
    gauges: Gauges,
}

impl Watch {
    /// Of this server, which sends its audit log to these places.
    pub(crate) fn new(config: &Config, services: Services, places: Vec<Arc<Place>>) -> Self {
        let started = services.started.0 as f64 / 1_000.0;
        let mut metrics = Metrics::new(PREFIX, env!("CARGO_PKG_VERSION"), started);
        let own = metrics.own(PREFIX);
        services.fleet.measured().register(own);
        if let Some(spans) = services.fleet.tracer().counts() {
            spans.register(own);
        }
        let folders = vec![
            ("repository", config.data_dir.clone()),
            ("audit_head", folder_of(&config.audit.head_file)),
        ];
        let gauges = Gauges::register(own, folders, places);
        Self {
            probe: Probe::new(services.repository.clone()),
            services,
            metrics,
            gauges,
        }
    }

    /// The key under which everything new is sealed has to be at hand.
    fn keyring(&self) -> Check {
        let keyring = self.services.keys.keyring();
        let fault = keyring.key(keyring.current()).is_none().then(|| {
            "the current server key is not open: look at `portcullis key list` and restart the server"
                .to_owned()
        });
        Check::new("keyring", fault)
    }
}

impl Watched for Watch {
    async fn ready(&self) -> Readiness {
        let (repository, audit) = tokio::join!(
            check("repository", self.probe.write()),
            check("audit", self.services.audit.ready())
        );
        let mut checks = vec![repository, self.keyring(), audit];
        let database = self.services.repository.database();
        // Where that cannot be told, the repository's own check says why.
        if database.has_no_standby().await.unwrap_or(false) {
            checks.push(Check::amiss("standby", NO_STANDBY));
        }
        Readiness::of(checks)
    }

    async fn metrics(&self, ready: &Readiness) -> String {
        let audit = ready.checks.iter().find(|check| check.name == "audit");
        self.gauges
            .audit_writable
            .set(audit.is_some_and(|check| check.ready));
        if let Err(error) = self.gauges.set(&self.services).await {
            // `portcullis_ready` says so, too.
            tracing::warn!(%error, "the metrics stand as they were: the repository cannot be read");
        }
        self.metrics.text(ready)
    }
}

fn folder_of(file: &std::path::Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, PathBuf::from)
}
