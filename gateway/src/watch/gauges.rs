//! Gauges that are set each time somebody asks.

use std::path::PathBuf;

use portcullis_watch::{DiskGauge, ExpiryGauge, Flag, Readiness};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::config::Config;
use crate::journal::{self, Share};
use crate::listener::agent::Agent;
use crate::state_dir::StateDir;

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

/// As many as have calls in the journal: a handful.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfServer {
    server: String,
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
    server_bytes: Family<OfServer, Gauge>,
    server_writable: Family<OfServer, Gauge>,
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
            disks: DiskGauge::register(registry, StateDir::all(config)),
            links: Gauge::default(),
            enrolled: Flag::default(),
            pairing_open: Flag::default(),
            journal_writable: Flag::default(),
            journal_bytes: Gauge::default(),
            server_bytes: Family::default(),
            server_writable: Family::default(),
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
            "journal_server_bytes",
            "Bytes of the journal that calls of a server take; in processes, of the worker's where they take most",
            gauges.server_bytes.clone(),
        );
        registry.register(
            "journal_server_writable",
            "0 while calls of a server take all of the journal that they may; it changes nothing meanwhile",
            gauges.server_writable.clone(),
        );
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
        self.set_shares(&described.shares);
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

    /// Of each server the worst, where several workers have a journal.
    fn set_shares(&self, shares: &[Share]) {
        self.server_bytes.clear();
        self.server_writable.clear();
        for share in shares {
            let of = OfServer {
                server: share.server.to_string(),
            };
            let same = || shares.iter().filter(|one| one.server == share.server);
            let most = same().map(|one| one.bytes).max().unwrap_or_default();
            self.server_bytes.get_or_create(&of).set(signed(most));
            let writable = i64::from(same().all(|one| one.writable));
            self.server_writable.get_or_create(&of).set(writable);
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
