//! Gauges that are set each time somebody asks.

use std::path::PathBuf;

use portcullis_watch::{DiskGauge, ExpiryGauge, Flag, Readiness};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::config::Config;
use crate::journal;
use crate::listener::agent::Agent;

/// As many connectors as the configuration names: a handful.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfConnector {
    connector: String,
}

/// There are two.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWorker {
    worker: &'static str,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Gauges {
    journal: PathBuf,
    disks: DiskGauge,
    links: Gauge,
    enrolled: Flag,
    pairing_open: Flag,
    journal_writable: Flag,
    journal_bytes: Gauge,
    configuration_sound: Flag,
    connectors: Family<OfConnector, Gauge>,
    workers: Family<OfWorker, Gauge>,
    tls: ExpiryGauge,
}

impl Gauges {
    /// Has `registry` show them.
    pub(super) fn register(registry: &mut Registry, config: &Config) -> Self {
        let most = Gauge::<i64>::default();
        most.set(signed(config.journal.most));
        let gauges = Self {
            journal: config.state_dir.join(journal::FILE),
            disks: DiskGauge::register(registry, vec![("state", config.state_dir.clone())]),
            links: Gauge::default(),
            enrolled: Flag::default(),
            pairing_open: Flag::default(),
            journal_writable: Flag::default(),
            journal_bytes: Gauge::default(),
            configuration_sound: Flag::default(),
            connectors: Family::default(),
            workers: Family::default(),
            tls: ExpiryGauge::register(registry),
        };
        let rows = [
            ("links", "Sessions that live", gauges.links.clone()),
            (
                "enrolled",
                "1 while the gateway holds a master key",
                gauges.enrolled.gauge(),
            ),
            (
                "pairing_open",
                "1 while whoever calls itself the server may pair",
                gauges.pairing_open.gauge(),
            ),
            (
                "journal_writable",
                "1 while the journal takes entries; nothing is changed while it does not",
                gauges.journal_writable.gauge(),
            ),
            (
                "journal_bytes",
                "Size of the journal",
                gauges.journal_bytes.clone(),
            ),
            (
                "journal_max_bytes",
                "Size from which on calls that change something are refused",
                most,
            ),
            (
                "configuration_sound",
                "0 since the configuration was read again and refused",
                gauges.configuration_sound.gauge(),
            ),
        ];
        for (name, help, gauge) in rows {
            registry.register(name, help, gauge);
        }
        registry.register(
            "connector_usable",
            "Whether nothing is known that keeps a connector from its work",
            gauges.connectors.clone(),
        );
        registry.register(
            "worker_up",
            "Whether a worker that has connectors answers; none where the gateway is one process",
            gauges.workers.clone(),
        );
        gauges
    }

    /// As things are now.
    pub(super) async fn set(&self, agent: &Agent, ready: &Readiness) {
        self.disks.set();
        let ends = agent.tls.expiries();
        self.tls.set(ends.iter().map(|end| (end.what, end.until)));
        let links = agent.links.list().len();
        self.links.set(signed(links as u64));
        let standing = agent.run.keys.standing();
        self.enrolled.set(standing.active.is_some());
        let now = portcullis_host::clock::now();
        let open = standing.pairing_until.is_some_and(|until| until > now);
        self.pairing_open.set(open);
        let journal = ready.checks.iter().find(|check| check.name == "journal");
        self.journal_writable
            .set(journal.is_some_and(|check| check.ready));
        let described = agent.door.describe().await;
        let bytes = match described.journal_bytes {
            Some(bytes) => bytes,
            None => {
                let found = tokio::fs::metadata(&self.journal).await;
                found.map_or(0, |found| found.len())
            }
        };
        self.journal_bytes.set(signed(bytes));
        let status = &agent.run.status;
        self.configuration_sound.set(status.configuration_sound());
        // Those that have left the configuration are not told any more.
        self.connectors.clear();
        for info in described.connectors {
            let usable = i64::from(info.faults.is_empty());
            let connector = OfConnector {
                connector: info.name,
            };
            self.connectors.get_or_create(&connector).set(usable);
        }
        self.workers.clear();
        for kind in described.asked {
            let away = described.away.iter().any(|(one, _)| *one == kind);
            let worker = OfWorker {
                worker: kind.name(),
            };
            let up = i64::from(!away);
            self.workers.get_or_create(&worker).set(up);
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
